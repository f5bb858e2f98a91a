"""The models of the parity list: what each is, on which data, and how it is built."""

from dataclasses import dataclass
from typing import Callable

import catboost
import lightgbm
import xgboost
from sklearn import (
    calibration, cluster, compose, cross_decomposition, decomposition, discriminant_analysis,
    ensemble, gaussian_process, impute, linear_model, multiclass,
    naive_bayes, neighbors, neural_network, pipeline, preprocessing, svm, tree,
)

import parity_data as data


@dataclass(frozen=True)
class Entry:
    """Describes one model; `trees` and `encoders` count towards the list's quotas.

    `tolerance` is the relative error allowed against onnxruntime, and `conditioning` says why it is
    more than the usual 1e-5.
    """

    name: str
    data: Callable
    build: Callable
    trees: int = 0
    encoders: bool = False
    tolerance: float = 1e-5
    conditioning: str | None = None


BINARY = lambda: data.classes(2)  # noqa: E731
MULTI = lambda: data.classes(3)  # noqa: E731
NUMBERS = data.numbers
COUNTS = data.counts
BINARY_HOLES = lambda: data.holes(data.classes(2))  # noqa: E731
NUMBER_HOLES = lambda: data.holes(data.numbers())  # noqa: E731
LOANS = data.mixed
LOANS_HOLES = lambda: data.mixed(missing=True)  # noqa: E731
RATINGS = lambda: data.mixed("rating")  # noqa: E731
LOSSES = lambda: data.mixed("loss")  # noqa: E731

SEED = dict(random_state=0)
XGB = dict(random_state=0, n_jobs=1, learning_rate=0.1)
LGBM = dict(random_state=0, n_jobs=1, verbose=-1, deterministic=True)
CAT = dict(random_seed=0, thread_count=1, verbose=0, allow_writing_files=False, depth=5)


def trees(name, rows, build, count):
    return Entry(name, rows, build, trees=count)


ENSEMBLES = [
    trees("rf-classifier", BINARY, lambda: ensemble.RandomForestClassifier(100, max_depth=8, **SEED), 100),
    trees("rf-classifier-3", MULTI, lambda: ensemble.RandomForestClassifier(100, max_depth=8, **SEED), 100),
    trees("rf-regressor", NUMBERS, lambda: ensemble.RandomForestRegressor(100, max_depth=8, max_features=0.5, **SEED), 100),
    trees("extra-trees-classifier", BINARY, lambda: ensemble.ExtraTreesClassifier(120, max_depth=8, **SEED), 120),
    trees("extra-trees-regressor", NUMBERS, lambda: ensemble.ExtraTreesRegressor(100, max_depth=8, **SEED), 100),
    trees("gb-classifier", BINARY, lambda: ensemble.GradientBoostingClassifier(n_estimators=100, max_features=0.5, **SEED), 100),
    trees("gb-classifier-3", MULTI, lambda: ensemble.GradientBoostingClassifier(n_estimators=100, max_features=0.5, max_depth=2, **SEED), 300),
    trees("gb-regressor", NUMBERS, lambda: ensemble.GradientBoostingRegressor(n_estimators=150, max_features=0.5, **SEED), 150),
    trees("hgb-classifier", BINARY, lambda: ensemble.HistGradientBoostingClassifier(max_iter=100, **SEED), 100),
    trees("hgb-regressor", NUMBERS, lambda: ensemble.HistGradientBoostingRegressor(max_iter=100, **SEED), 100),
    trees("hgb-regressor-missing", NUMBER_HOLES, lambda: ensemble.HistGradientBoostingRegressor(max_iter=100, **SEED), 100),
    trees("adaboost-classifier", BINARY, lambda: ensemble.AdaBoostClassifier(tree.DecisionTreeClassifier(max_depth=2, **SEED), n_estimators=100, **SEED), 100),
    trees("adaboost-regressor", NUMBERS, lambda: ensemble.AdaBoostRegressor(tree.DecisionTreeRegressor(max_depth=4, **SEED), n_estimators=100, **SEED), 100),
    trees("bagging-classifier", BINARY, lambda: ensemble.BaggingClassifier(tree.DecisionTreeClassifier(max_depth=6), 100, **SEED), 100),
    trees("bagging-regressor", NUMBERS, lambda: ensemble.BaggingRegressor(tree.DecisionTreeRegressor(max_depth=6), 100, **SEED), 100),
    trees("isolation-forest", BINARY, lambda: ensemble.IsolationForest(n_estimators=100, **SEED), 100),
    trees("xgb-classifier", BINARY, lambda: xgboost.XGBClassifier(n_estimators=100, max_depth=5, **XGB), 100),
    trees("xgb-classifier-3", MULTI, lambda: xgboost.XGBClassifier(n_estimators=100, max_depth=4, **XGB), 300),
    trees("xgb-classifier-missing", BINARY_HOLES, lambda: xgboost.XGBClassifier(n_estimators=100, max_depth=5, **XGB), 100),
    trees("xgb-regressor", NUMBERS, lambda: xgboost.XGBRegressor(n_estimators=300, max_depth=6, **XGB), 300),
    trees("xgb-regressor-missing", NUMBER_HOLES, lambda: xgboost.XGBRegressor(n_estimators=100, max_depth=6, **XGB), 100),
    trees("xgb-poisson", COUNTS, lambda: xgboost.XGBRegressor(n_estimators=100, objective="count:poisson", **XGB), 100),
    trees("lgbm-classifier", BINARY, lambda: lightgbm.LGBMClassifier(n_estimators=100, **LGBM), 100),
    trees("lgbm-classifier-3", MULTI, lambda: lightgbm.LGBMClassifier(n_estimators=100, num_leaves=15, **LGBM), 300),
    trees("lgbm-regressor", NUMBERS, lambda: lightgbm.LGBMRegressor(n_estimators=300, **LGBM), 300),
    trees("lgbm-regressor-missing", NUMBER_HOLES, lambda: lightgbm.LGBMRegressor(n_estimators=100, **LGBM), 100),
    trees("lgbm-poisson", COUNTS, lambda: lightgbm.LGBMRegressor(n_estimators=100, objective="poisson", **LGBM), 100),
    trees("catboost-classifier", BINARY, lambda: catboost.CatBoostClassifier(iterations=200, **CAT), 200),
    trees("catboost-classifier-3", MULTI, lambda: catboost.CatBoostClassifier(iterations=100, **CAT), 100),
    trees("catboost-regressor", NUMBERS, lambda: catboost.CatBoostRegressor(iterations=200, **CAT), 200),
    trees("catboost-regressor-missing", NUMBER_HOLES, lambda: catboost.CatBoostRegressor(iterations=100, **CAT), 100),
]

SINGLE = [
    Entry("linear-regression", NUMBERS, linear_model.LinearRegression),
    Entry("ridge", NUMBERS, linear_model.Ridge),
    Entry("lasso", NUMBERS, linear_model.Lasso),
    Entry("elastic-net", NUMBERS, linear_model.ElasticNet),
    Entry("bayesian-ridge", NUMBERS, linear_model.BayesianRidge),
    Entry("huber", NUMBERS, linear_model.HuberRegressor),
    Entry("poisson-regressor", COUNTS, linear_model.PoissonRegressor),
    Entry("logistic", BINARY, lambda: linear_model.LogisticRegression(max_iter=500)),
    Entry("logistic-3", MULTI, lambda: linear_model.LogisticRegression(max_iter=500)),
    Entry("ridge-classifier", BINARY, linear_model.RidgeClassifier),
    Entry("sgd-classifier", BINARY, lambda: linear_model.SGDClassifier(loss="log_loss", **SEED)),
    Entry("linear-svc", BINARY, lambda: svm.LinearSVC(**SEED)),
    Entry("linear-svr", NUMBERS, lambda: svm.LinearSVR(max_iter=5000, **SEED)),
    Entry("svc-rbf", BINARY, lambda: svm.SVC(max_iter=2000)),
    Entry("svr-rbf", NUMBERS, lambda: svm.SVR(C=10.0)),
    Entry("one-class-svm", BINARY, svm.OneClassSVM),
    Entry("decision-tree-classifier", BINARY, lambda: tree.DecisionTreeClassifier(max_depth=8, **SEED)),
    Entry("decision-tree-regressor", NUMBERS, lambda: tree.DecisionTreeRegressor(max_depth=8, **SEED)),
    Entry("knn-classifier", BINARY, lambda: neighbors.KNeighborsClassifier(5)),
    Entry("knn-regressor", NUMBERS, lambda: neighbors.KNeighborsRegressor(5)),
    Entry("gaussian-nb", BINARY, naive_bayes.GaussianNB),
    Entry("bernoulli-nb", BINARY, naive_bayes.BernoulliNB),
    Entry("mlp-classifier", BINARY, lambda: neural_network.MLPClassifier((32, 16), max_iter=20, **SEED)),
    Entry("mlp-regressor", NUMBERS, lambda: neural_network.MLPRegressor(hidden_layer_sizes=(32, 16), max_iter=30, **SEED)),
    Entry("lda", MULTI, discriminant_analysis.LinearDiscriminantAnalysis),
    Entry("qda", BINARY, lambda: discriminant_analysis.QuadraticDiscriminantAnalysis(reg_param=0.1)),
    Entry("pls", NUMBERS, lambda: cross_decomposition.PLSRegression(4)),
    Entry("gaussian-process", NUMBERS, lambda: Thinned(gaussian_process.GaussianProcessRegressor(alpha=1.0)), tolerance=5e-3, conditioning="the kernel sum cancels in binary32: onnxruntime itself is 1e-3 from the library"),
    Entry("k-means", BINARY, lambda: cluster.KMeans(4, n_init=1, **SEED)),
    Entry("one-vs-rest", MULTI, lambda: multiclass.OneVsRestClassifier(linear_model.LogisticRegression(max_iter=500))),
    Entry("calibrated-sigmoid", BINARY, lambda: calibration.CalibratedClassifierCV(linear_model.LogisticRegression(max_iter=500), cv=3)),
    Entry("voting-classifier", BINARY, lambda: ensemble.VotingClassifier([("a", linear_model.LogisticRegression(max_iter=500)), ("b", tree.DecisionTreeClassifier(max_depth=5, **SEED))], voting="soft", flatten_transform=False)),
    Entry("stacking-regressor", NUMBERS, lambda: ensemble.StackingRegressor([("a", linear_model.Ridge()), ("b", tree.DecisionTreeRegressor(max_depth=5, **SEED))], cv=3)),
    Entry("pca-logistic", BINARY, lambda: pipeline.make_pipeline(decomposition.PCA(8, **SEED), linear_model.LogisticRegression())),
    Entry("poly-ridge", NUMBERS, lambda: pipeline.make_pipeline(preprocessing.StandardScaler(), preprocessing.PolynomialFeatures(2), linear_model.Ridge())),
    Entry("robust-normalizer-svr", NUMBERS, lambda: pipeline.make_pipeline(preprocessing.RobustScaler(), preprocessing.Normalizer(), svm.LinearSVR(**SEED))),
]


def Thinned(estimator):
    """Fits a quadratic-memory estimator on the first 300 rows only."""
    fit = estimator.fit
    estimator.fit = lambda x, y: fit(x[:300], y[:300])
    return estimator


def table(model, encoder=None, scale=True):
    """Builds the pipeline of a mixed table: imputed, scaled numbers beside encoded categories."""
    encoder = encoder or preprocessing.OneHotEncoder(handle_unknown="ignore")
    numeric = [impute.SimpleImputer(strategy="median")]
    if scale:
        numeric.append(preprocessing.StandardScaler())
    columns = compose.ColumnTransformer(
        [
            ("numbers", pipeline.make_pipeline(*numeric), ["income", "age", "debt"]),
            ("whole", "passthrough", ["months"]),
            ("categories", encoder, ["grade", "purpose"]),
        ],
        sparse_threshold=0.0,
    )
    return pipeline.Pipeline([("columns", columns), ("model", model)])


def encoded(name, rows, build, count=0):
    return Entry(name, rows, build, trees=count, encoders=True)


ORDINAL = lambda: preprocessing.OrdinalEncoder()  # noqa: E731

PIPELINES = [
    encoded("table-logistic", LOANS, lambda: table(linear_model.LogisticRegression(max_iter=1000))),
    encoded("table-logistic-missing", LOANS_HOLES, lambda: table(linear_model.LogisticRegression(max_iter=1000))),
    encoded("table-rating-logistic", RATINGS, lambda: table(linear_model.LogisticRegression(max_iter=1000))),
    encoded("table-rf", LOANS, lambda: table(ensemble.RandomForestClassifier(100, max_depth=7, **SEED)), 100),
    encoded("table-rating-rf", RATINGS, lambda: table(ensemble.RandomForestClassifier(100, max_depth=6, **SEED), ORDINAL()), 100),
    encoded("table-gb", LOANS, lambda: table(ensemble.GradientBoostingClassifier(n_estimators=100, **SEED), ORDINAL(), scale=False), 100),
    encoded("table-xgb", LOANS_HOLES, lambda: table(xgboost.XGBClassifier(n_estimators=100, max_depth=4, **XGB), ORDINAL()), 100),
    encoded("table-lgbm", LOANS, lambda: table(lightgbm.LGBMClassifier(n_estimators=100, **LGBM), ORDINAL()), 100),
    encoded("table-mlp", LOANS, lambda: table(neural_network.MLPClassifier((16,), max_iter=20, **SEED))),
    encoded("table-svc", LOANS, lambda: table(svm.SVC(max_iter=3000))),
    encoded("table-knn", LOANS, lambda: table(neighbors.KNeighborsClassifier(7))),
    encoded("table-ridge", LOSSES, lambda: table(linear_model.Ridge())),
    encoded("table-gb-regressor", LOSSES, lambda: table(ensemble.GradientBoostingRegressor(n_estimators=120, **SEED), ORDINAL()), 120),
    encoded("table-lgbm-regressor", LOSSES, lambda: table(lightgbm.LGBMRegressor(n_estimators=100, **LGBM)), 100),
]

ENTRIES = ENSEMBLES + SINGLE + PIPELINES
