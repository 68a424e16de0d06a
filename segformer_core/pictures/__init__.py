"""Label maps as pictures: colours, overlays, a legend, a contact sheet. Pictures are (H, W, 3) uint8 RGB."""

from segformer_core.pictures.painting import colourise, overlay, write_png
from segformer_core.pictures.sheet import SheetRow, contact_sheet, legend

__all__ = ["SheetRow", "colourise", "contact_sheet", "legend", "overlay", "write_png"]
