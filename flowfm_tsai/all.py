"""`from flowfm_tsai.all import *`: what is typed in a notebook, with our models known to tsai by name."""
# Written by hand, as in fastai. What isn't here is imported from its room: `from flowfm_tsai.metrics import inception_score`.
from .paths import PATHS, LinearPath, LogitNormal, uniform_t
from .sampling import SAMPLERS, Sampler
from .diffusion import NoiseSchedule
from .models import MODELS, DiffFM, FlowFM, JointModel, register
from .pretext.base import PretextCallback
from .pretext.flow import CFMCallback, DDPMCallback, DGSCallback
from .pretext.contrastive import ContrastCallback
from .pretext.distillation import DistillCallback
from .callbacks import EMACallback, ResumeCallback
from .pretrained import from_pretrained, shipped
from .data.storage import HARData, open_windows
from .data.splits import check_splits, few_labels, leave_one_subject_out, random_split, subject_folds
from .data.augment import TimeShift, WindowTransform
from .data.frames import frame_windows
from .plots import plot_bands, plot_confusion, plot_signals, plot_tsne
from .classifiers import linear_classifier, scores
from .metrics import fit_features, generation_metrics
from .joint import JointLearner
from .learner import difffm_learner, distill_learner, flowfm_learner
from . import completion # noqa: F401 learn.impute, learn.forecast
from .transfer import few_label_curve, fine_tune, knn_probe, linear_probe
from . import streams # noqa: F401 learn.stream
from .export import export_onnx
from .text import TextEncoder, prompts
from .text2signal import text2signal_learner, text_dls
from . import zero_shot # noqa: F401 learn.classify
from .wearables import har # har.load, har.pool
from .wearables.har import WATCH_CHANNELS, watch_windows
from .wearables.tables import table_windows
from .wearables.tfms import WRIST_TFMS, RandomRotation, wearable_tfms

__all__ = [
    'flowfm_learner', 'difffm_learner', 'distill_learner', 'JointLearner', # learners
    'FlowFM', 'DiffFM', 'JointModel', 'from_pretrained', 'shipped', 'register', # models, and weights
    'CFMCallback', 'DDPMCallback', 'DGSCallback', 'DistillCallback', # tasks without labels, with a path
    'ContrastCallback', 'PretextCallback', # and for the encoder
    'LinearPath', 'NoiseSchedule', 'LogitNormal', 'uniform_t', 'Sampler', # from noise to data
    'PATHS', 'SAMPLERS', 'MODELS', # where parts of your own are registered
    'EMACallback', 'ResumeCallback', # beside any training
    'fine_tune', 'linear_probe', 'knn_probe', 'few_label_curve', 'linear_classifier', 'scores', # what it is worth
    'prompts', 'text_dls', 'text2signal_learner', 'TextEncoder', # sentences
    'fit_features', 'generation_metrics', # how good signals are
    'plot_signals', 'plot_bands', 'plot_tsne', 'plot_confusion', # figures
    'open_windows', 'HARData', # windows on disk
    'frame_windows', # rows at any times
    'subject_folds', 'leave_one_subject_out', 'random_split', 'few_labels', 'check_splits', # splits
    'WindowTransform', 'TimeShift', 'RandomRotation', 'wearable_tfms', 'WRIST_TFMS', # augmentation
    'table_windows', 'har', 'watch_windows', 'WATCH_CHANNELS', # recordings from the wrist
    'export_onnx'] # without PyTorch

register() # `ts_learner(dls, 'FlowFM')`
