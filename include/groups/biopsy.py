"""Is a tumour malignant? Two models on the same biopsies, one for surgeons, one for a second look."""

from typing import Any

from lockstep import Api, Dataset, Graph, Model, Threshold, at_least, csv, precision_at_least, recall_at_least

MEASURES = ["radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "symmetry"]
COLUMNS = [f"{kind} {measure}" for kind in ("mean", "worst") for measure in MEASURES]


def linear() -> Any:  # noqa: ANN401  scikit-learn estimators share no type
    """Fit a line through scaled measures."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression())


def forest() -> Any:  # noqa: ANN401  scikit-learn estimators share no type
    """Grow many small trees, which err elsewhere than a line."""
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(n_estimators=60, random_state=0)


biopsies = Dataset(
    "biopsies", source=csv("biopsies/*.csv"), key="sample", columns={**dict.fromkeys(COLUMNS, float), "malignant": bool}
)
surgery = Model("surgery", data=biopsies, target="malignant", estimator=linear, expects={"roc_auc": at_least(0.95)})
second_look = Model("second_look", data=biopsies, target="malignant", estimator=forest)
refer = Threshold("refer", model=surgery, choose=recall_at_least(0.95))
review = Threshold("review", model=second_look, choose=precision_at_least(0.90))
graph = Graph([Api("referrals", decides=[refer]), Api("reviews", decides=[review])], name="biopsy")
