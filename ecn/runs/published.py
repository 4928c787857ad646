"""What Kaba & Ravanbakhsh 2022 (arXiv 2211.15420) print, to be shown beside what is measured here.

Materials Project: version 2021.05, with their split. Perov-5: its unit is not stated, and most likely that of
the column of the data set, eV per cell. A classifier's numbers are printed as precision, and were computed as
the recall of each class; they are shares here, percent there.
"""

from __future__ import annotations

#: Test MAE by target and by model, CGCNN and MEGNet in the paper's own runs, `ecn` the group S_8: in eV/atom,
#: eV, muB/atom, eV, and eV per cell.
MAE = {
    "formation_energy": {"cgcnn": 0.048, "megnet": 0.056, "ecn:P1bar": 0.052, "ecn": 0.046},
    "fermi_energy": {"cgcnn": 0.307, "megnet": 0.365, "ecn:P1bar": 0.303, "ecn": 0.281},
    "magnetization": {"cgcnn": 0.111, "megnet": 0.110, "ecn:P1bar": 0.108, "ecn": 0.106},
    "band_gap": {"cgcnn": 0.399, "megnet": 0.434, "ecn:P1bar": 0.44, "ecn": 0.390},
    "heat_all": {"cgcnn": 0.047, "megnet": 0.059, "ecn": 0.038},  # the paper does not say which group
}

#: Recall of metals and of nonmetals by model.
RECALL = {
    "cgcnn": {"metal": 0.812, "nonmetal": 0.863},
    "megnet": {"metal": 0.721, "nonmetal": 0.816},
    "ecn:P1bar": {"metal": 0.80, "nonmetal": 0.84},
    "ecn": {"metal": 0.798, "nonmetal": 0.832},
}
