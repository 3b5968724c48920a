"""Where everything of a project lies, relative to `<store>/<project>/`."""

from __future__ import annotations

from dataclasses import dataclass

FOLDERS = {"mesh": "mesh", "skeleton": "skeletons"}
PROPERTIES_FOLDER = "segment_properties"

# Folders of a dataset that Snakemake does not know; they lie in the object store where the config names one.
BULK_FOLDERS = ("layers", "work", "objects", "branches", "swc", "associated", "patches", "exports", "timings")

# Of the intermediate files, what is small and known of objects: it outlives `clean_work`; so does its own record.
CLEANED = "cleaned.json"
KEPT_WORK = ("label_stats", *(f"{product}_measures" for product in FOLDERS), CLEANED)


@dataclass(frozen=True)
class LayerPaths:
    """Paths of one layer of one dataset; `item` is a block, merge job or part."""

    dataset: str
    layer: str

    @property
    def layer_folder(self) -> str:
        """The Precomputed layer itself."""
        return f"{self.dataset}/layers/{self.layer}"

    @property
    def receipts(self) -> str:
        """Receipts of all jobs of this layer."""
        return f"{self.dataset}/receipts/{self.layer}"

    @property
    def work(self) -> str:
        """Intermediate files of this layer."""
        return f"{self.dataset}/work/{self.layer}"

    @property
    def objects(self) -> str:
        """The object tables of this layer."""
        return f"{self.dataset}/objects/{self.layer}"

    @property
    def branch_folder(self) -> str:
        """The table of the branches of this layer's skeletons."""
        return f"{self.dataset}/branches/{self.layer}"

    def branches(self, merge_job: str) -> str:
        """The part of the table of branches that one merge job makes."""
        return f"{self.branch_folder}/{merge_job}.parquet"

    @property
    def swc_folder(self) -> str:
        """The skeletons of this layer as SWC."""
        return f"{self.dataset}/swc/{self.layer}"

    def swc(self, label: int, tree: int) -> str:
        """One tree of the skeleton of a label."""
        return f"{self.swc_folder}/{label}.{tree}.swc"

    def quality(self, rule: str, item: str) -> str:
        """The part of a table of quality, or of the benchmark of encodings, that one job measured."""
        return f"{self.dataset}/quality/{self.layer}/{rule}/{item}.parquet"

    def receipt(self, rule: str, item: str) -> str:
        """The receipt of one job; rules without items have one receipt."""
        return f"{self.receipts}/{rule}/{item}.json" if item else f"{self.receipts}/{rule}.json"

    def timing(self, rule: str, item: str) -> str:
        """What one job took."""
        return f"{self.dataset}/timings/{rule}/{self.layer}{'.' if item else ''}{item}.json"

    def fragments(self, product: str, block: str) -> str:
        """The fragment file of one block."""
        return f"{self.work}/{product}_fragments/{block}.frags"

    def object_fragments(self, product: str, job: str) -> str:
        """What one job of whole objects found, in place of the blocks' fragments of those objects."""
        return f"{self.work}/{product}_objects/{job}.frags"

    def fragment_index(self, product: str) -> str:
        """Which byte range of which fragment file is for which merge job."""
        return f"{self.work}/{product}_index.npy"

    def measures(self, product: str, merge_job: str) -> str:
        """The measures of the objects of one merge job."""
        return f"{self.work}/{product}_measures/{merge_job}.parquet"

    def carry(self, round_number: int, block: str, part: int) -> str:
        """What a block of a round hands to the next round."""
        return f"{self.work}/carry/r{round_number}/{block}{'.counts' * part}.npy"

    @property
    def associated(self) -> str:
        """What a slide's file holds beside its pixels: the colour profile, photos of the slide and its label."""
        return f"{self.dataset}/associated/{self.layer}"

    @property
    def mask_objects(self) -> str:
        """The connected objects of a slide's mask."""
        return f"{self.work}/mask_objects.npy"

    @property
    def patches(self) -> str:
        """The table of the patches of a slide; their files lie in slides/patches of the project."""
        return f"{self.dataset}/patches/{self.layer}.parquet"

    @property
    def exports(self) -> str:
        """This layer in other formats."""
        return f"{self.dataset}/exports/{self.layer}"

    def statistics(self, block: str) -> str:
        """Label statistics of one block of the first round."""
        return f"{self.work}/statistics/{block}.npy"
