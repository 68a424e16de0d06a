"""Flat folders: which mask belongs to which image. The same name, or the image's name and a suffix such as _mask."""

from collections.abc import Collection, Iterable
from pathlib import Path

from segformer_core.data.image_file import IMAGE_SUFFIXES
from segformer_core.data.listing import UNREADABLE_KINDS, entries, folders, is_folder, passed_over
from segformer_core.errors import DataError, brief
from segformer_core.making.example import TRAIN, VAL, Example, Found

LOSSY = (".jpg", ".jpeg")
SPLIT_NAMES = {TRAIN: (TRAIN, "training"), VAL: (VAL, "valid", "validation")}
"""What people call the folders of a split."""
SHOWN = 4
"""Names in a message."""


def find_pairs(images: Path, masks: Path | None, mask_suffix: str | None, image_suffix: str = "", half: str = "") -> Found:
    """The images of a folder with their masks; of its folders train and val if it holds these. Without `masks` they lie among
    the images. `mask_suffix` is None where it is to be found; `half` is the split, if all are of one. Raises DataError."""
    for folder in filter(None, (images, masks)):
        if not is_folder(folder):
            raise DataError(f"no such folder: {folder}; give the one that holds the files")
    if masks is not None and masks.samefile(images):
        masks = None
    if mask_suffix is not None and mask_suffix.lower().endswith(IMAGE_SUFFIXES):
        mask_suffix = mask_suffix.rpartition(".")[0]
    parts = {} if half else split_folders(images)
    if len(parts) < len(SPLIT_NAMES):
        return _flat(images, masks, mask_suffix, image_suffix, half)
    found = []
    mask_parts = {} if masks is None else split_folders(masks)
    for split, folder in parts.items():
        if masks is not None and split not in mask_parts:
            raise DataError(f"{images} holds {folder.name} and {masks} does not; expected the masks in {masks / folder.name}")
        found.append(_flat(folder, mask_parts.get(split), mask_suffix, image_suffix, split))
    others = {path.name for path in folders(images)} - {folder.name for folder in parts.values()}
    notes = [f"passed over in {images}: {', '.join(sorted(others))}"] if others else []
    return Found(
        tuple(example for each in found for example in each.examples),
        f"{found[0].what}, split as they lie",
        tuple(note for each in found for note in each.notes) + tuple(notes),
    )


def split_folders(folder: Path) -> dict[str, Path]:
    """Split -> its folder. Raises DataError if there are two for one."""
    there = {path.name.lower(): path for path in folders(folder)}
    found: dict[str, Path] = {}
    for split, names in SPLIT_NAMES.items():
        fitting = [there[name] for name in names if name in there]
        if len(fitting) > 1:
            raise DataError(f"{folder} holds {fitting[0].name} and {fitting[1].name}; expected one folder of the split {split}")
        if fitting:
            found[split] = fitting[0]
    return found


def _flat(images: Path, masks: Path | None, mask_suffix: str | None, image_suffix: str, split: str) -> Found:
    there = entries(images)
    pictures = [path for path in there if path.suffix.lower() in IMAGE_SUFFIXES and not is_folder(path)]
    note = passed_over(set(there).difference(pictures), f"in {images} {UNREADABLE_KINDS}")
    if not pictures:
        inside = ", ".join(path.name for path in folders(images)[:SHOWN])
        hint = f"; it holds the folders {inside}: name one" if inside else ""
        raise DataError(f"no images in {images}; expected files ending in {', '.join(IMAGE_SUFFIXES)}{hint}")
    if masks is None:
        pictures, found_masks, mask_suffix = _among_themselves(pictures, mask_suffix, images)
    else:
        found_masks = [path for path in entries(masks) if path.suffix.lower() in IMAGE_SUFFIXES and not is_folder(path)]
    names = _names(pictures, image_suffix)
    if mask_suffix is None:
        mask_suffix = find_suffix(names, [path.stem for path in found_masks], masks or images)
    by_name: dict[str, Path] = {}
    for mask in found_masks:
        name = mask.stem.removesuffix(mask_suffix)
        if not mask.stem.endswith(mask_suffix) or name not in names:
            continue
        if name in by_name:
            raise DataError(f"{by_name[name]} and {mask} are both masks of {names[name]}; keep one")
        by_name[name] = mask
    missing = [name for name in names if name not in by_name]
    if missing:
        first = missing[0]
        raise DataError(
            f"{len(missing)} of {len(names)} images in {images} have no mask; first: {names[first]}, expected "
            f"{(masks or images) / f'{first}{mask_suffix}.png'}; add the masks, or move these images away"
        )
    left = set(found_masks).difference(by_name.values())
    notes = [note, passed_over(left, f"in {masks or images} that belong to no image")]
    what = f"masks named as the images with {mask_suffix}" if mask_suffix else "masks named as the images"
    return Found(
        tuple(Example(name, image, by_name[name], split) for name, image in names.items()),
        what,
        tuple(filter(None, notes)),
    )


def _names(pictures: Iterable[Path], image_suffix: str) -> dict[str, Path]:
    """Name in the new folder -> image. Raises DataError if two have one name."""
    names: dict[str, Path] = {}
    for path in pictures:
        name = path.stem.removesuffix(image_suffix)
        if not name:
            raise DataError(f"{path} has no name without {image_suffix}; give another --image_suffix")
        if name in names:
            raise DataError(f"{names[name]} and {path} have one name; both would have one label: rename one")
        names[name] = path
    return names


def find_suffix(names: Collection[str], stems: Collection[str], folder: Path) -> str:
    """What is between the name of every image and the ending of its mask. Raises DataError where it is not plain."""
    there = set(stems)
    if not there:
        raise DataError(f"no masks in {folder}; expected files ending in {', '.join(IMAGE_SUFFIXES)}")
    if there.issuperset(names):
        return ""
    first = min(names)
    candidates = {stem[len(first) :] for stem in there if stem.startswith(first)}
    whole = sorted(suffix for suffix in candidates if all(name + suffix in there for name in names))
    if len(whole) == 1:
        return whole[0]
    if whole:
        raise DataError(
            f"the masks in {folder} end in {' and in '.join(whole[:SHOWN])}; say which are meant, as --mask_suffix {whole[0]}"
        )
    counts = {suffix: sum(name + suffix in there for name in names) for suffix in {"", *candidates}}
    best = max(sorted(counts), key=lambda suffix: counts[suffix])
    if counts[best]:
        lacking = next(name for name in names if name + best not in there)
        raise DataError(
            f"{len(names) - counts[best]} of {len(names)} images have no mask in {folder}; first: {lacking}, expected "
            f"{lacking}{best}.png; add the masks, or move these images away"
        )
    raise DataError(
        f"no mask in {folder} is named as an image: there are {brief(min(there))}, … for the images {brief(first)}, …; "
        "say what the masks' names add, as --mask_suffix _mask"
    )


def _among_themselves(pictures: list[Path], mask_suffix: str | None, folder: Path) -> tuple[list[Path], list[Path], str]:
    """Images and masks that lie in one folder, and the suffix of the masks' names. Raises DataError."""
    stems = {path.stem for path in pictures}
    if mask_suffix is None:
        by_ending = _by_ending(pictures)
        if by_ending:
            return *by_ending, ""
        fitting = sorted(filter(None, {_suffix_that_pairs(stem, stems) for stem in stems}))
        if len(fitting) != 1:
            raise DataError(
                f"which files in {folder} are masks is not plain; give their folder as --masks DIR, or what their names add, as "
                "--mask_suffix _mask"
            )
        mask_suffix = fitting[0]
    if not mask_suffix:
        raise DataError(f"images and masks in {folder} cannot have the same names; give the masks' folder as --masks DIR")
    masks = [path for path in pictures if path.stem.endswith(mask_suffix)]
    return [path for path in pictures if path not in set(masks)], masks, mask_suffix


def _by_ending(pictures: list[Path]) -> tuple[list[Path], list[Path]] | None:
    """NAME.jpg with NAME.png: photos and masks, if every name has just these two."""
    photos = {path.stem: path for path in pictures if path.suffix.lower() in LOSSY}
    masks = {path.stem: path for path in pictures if path.suffix.lower() not in LOSSY}
    whole = photos.keys() == masks.keys() and len(photos) + len(masks) == len(pictures)
    return (list(photos.values()), list(masks.values())) if whole and photos else None


def _suffix_that_pairs(stem: str, stems: set[str]) -> str:
    """A suffix with which `stem` is the mask of another stem and every stem is a mask or has one; empty if there is none."""
    for cut in range(1, len(stem)):
        suffix = stem[cut:]
        if stem[:cut] in stems:
            plain = {each for each in stems if not each.endswith(suffix)}
            if {each + suffix for each in plain} == stems - plain:
                return suffix
    return ""
