SKELETON_QUALITY_FIGURES = ()  # (name, ending) of every figure
