"""What a run is: descriptions with every default and every rule. Each module names what it shows in `__all__`."""

from common.config.claim import *
from common.config.continual import *
from common.config.data import *
from common.config.description import *
from common.config.ladder import *
from common.config.model import *
from common.config.optimizer import *
from common.config.plain import *
from common.config.probe import *
from common.config.run import *
from common.config.schedule import *
from common.config.study import *
