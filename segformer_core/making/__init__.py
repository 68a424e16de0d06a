"""From what people have (flat folders, VOC's layout, COCO's or labelme's JSON, coloured masks) to the folder layout."""
