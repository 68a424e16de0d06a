"""Label maps as pictures: colours, overlays, a legend, a contact sheet. Pictures are (H, W, 3) uint8 RGB."""

from segformer_core.pictures.lettering import complaint
from segformer_core.pictures.painting import colourise, outline_reach, overlay, write_png
from segformer_core.pictures.sheet import SheetRow, contact_sheet, legend

__all__ = ["SheetRow", "colourise", "complaint", "contact_sheet", "legend", "outline_reach", "overlay", "write_png"]
