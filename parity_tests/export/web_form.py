"""compare_exports with one form more, the page of a WEB folder in Chromium: `python -m parity_tests.export.web_form …`.

Takes its arguments. The browser decodes each image itself, and the time is what the page shows: from pixels to labels.
"""

import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from multiprocessing.util import Finalize
from pathlib import Path

from parity_tests.evaluation.page_browser import start
from parity_tests.export.web_pages import DONE, choose, served, shown_labels, waited
from segformer_core.cli import exit_code
from segformer_core.commands.compare_exports import main
from segformer_core.commands.deployments import FORMS, ONNX, Answer, Deployment
from segformer_core.commands.opening import OTHER_SPLIT, opened_dataset
from segformer_core.config.load import load_config
from segformer_core.config.reads import READS
from segformer_core.data.dataset import read_pair
from segformer_core.data.image_form import ImageForm
from segformer_core.errors import UserError
from segformer_core.evaluation.metrics import confusion_matrix
from segformer_core.export.web_folder import NETWORK


def open_page(_: str, words: Sequence[str]) -> Callable[[int], Answer]:
    """In the form's process: an image's place in the dataset -> the page's Answer."""
    config = load_config(words, READS["evaluate"])
    dataset = opened_dataset(config, config.evaluation.eval_split, OTHER_SPLIT)
    folder = Path(config.evaluation.eval_ckpt_path)
    if missing := [program for program in ("chromium", "chromedriver") if shutil.which(program) is None]:
        raise UserError(f"{', '.join(missing)} is not installed, and the page needs both")
    stack = ExitStack()
    Finalize(None, stack.close, exitpriority=1)
    browser = start(Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))))
    stack.callback(browser.quit)
    browser.get(stack.enter_context(served(folder)))
    waited(browser, "Ready")

    def answer(index: int) -> Answer:
        item = dataset.items[index]
        _, truth = read_pair(item, dataset.classes, ImageForm.of(config))
        said = re.search(DONE, choose(browser, item.image.resolve()))
        assert said
        labels = shown_labels(browser, folder / NETWORK)
        return int(said[1]) / 1000, labels, confusion_matrix(truth, labels, len(dataset.classes))

    return answer


if __name__ == "__main__":
    FORMS["web"] = Deployment("torch", "web", {"export_format": "WEB", "export_precision": "fp32"}, packages=ONNX, open=open_page)
    sys.exit(exit_code(lambda: main(sys.argv[1:], "-m parity_tests.export.web_form")))
