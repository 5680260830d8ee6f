"""`from flowfm_tsai.all import *`: what is typed in a notebook, with our models known to tsai by name."""
# Written by hand, as in fastai: a generated module has an `__all__` of its own symbols, and this one has none of its own.
from .models import *
from .paths import *
from .diffusion import *
from .sampling import *
from .units import *
from .pretext.base import *
from .pretext.flow import *
from .callbacks import *
from .pretrained import *
from .joint import *
from .learner import *
from .classifiers import *
from .pretext.distillation import *
from .text import TextEncoder, prompts
from .text2signal import *
from .metrics import *
from .plots import *
from .wearables.windowing import windows
from .data.storage import *
from .data.splits import *
from .transfer import *
from .data.augment import *
from .wearables.tfms import *
from .wearables.har import watch_windows, WATCH_CHANNELS, WATCH_CLASSES
from .wearables import har # har.load, har.pool

register()
