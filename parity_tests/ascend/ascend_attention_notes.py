"""The answers to what MindSpore's documentation of the fused attention warns of; `ascend_notes.py` has the other operators."""

from parity_tests.ascend.ascend_note_kinds import NEWEST, OLDEST, SHAPE, Note

HEADS = r"\([-\d]+, ([-\d]+), "
LENGTH = r"(?:-1|\d{1,5}|[1-4]\d{5})"
WIDTHS = "|".join(str(16 * count) for count in range(1, 33))
ATTENTION = [
    Note(("Value range 1 to 2k",), "images on one device", r": \(<Tensor\[\w+\], \((?:-1|\d{1,3}|1\d{3}), "),
    Note(
        ("Value range 1 to 512k",),
        "that many are an image of 8 million pixels; a graph of one size writes the attention of more out",
        rf": \(<Tensor\[\w+\], \([-\d]+, [-\d]+, {LENGTH}, \d+\)>, <Tensor\[\w+\], \([-\d]+, [-\d]+, {LENGTH}, ",
    ),
    Note(("Value range 1 to 256",), "8 at most", r", I64\([1-8]\), F32\(1\), "),
    Note(("N2 must be a factor of N1",), "they are equal", rf": \(<Tensor\[\w+\], {HEADS}[^>]*>, <Tensor\[\w+\], \([-\d]+, \1, "),
    Note(("a multiple of 16, with the max value of 512",), "32 or 64", rf": \(<Tensor\[\w+\], {SHAPE[:-2]}(?<= )(?:{WIDTHS})\)>"),
    Note(("Value range is (0.0, 1.0]", "drop_mask should be none"), "1, and no mask", r", None, None, None, .*, F32\(1\), F32\("),
    Note(
        ("It must ensure that the band is not empty", "The following values are not allowed"),
        "the default, the largest number, leaves nothing out",
        r", I64\(2147483647\), I64\(2147483647\), I64\(0\), ",
    ),
    Note(
        (
            "experimental formats",
            'When input_layout is "TND"',
            "batch is less than or equal to 1024",
            "the cumulative sum of sequence",
            "list_seq_q and list_seq_k must be same",
            "Real_shift should be",
            "Attn mask must be a lower trianglar matrix",
            "The shape of attn_mask should be `(2048, 2048)`",
            "pre_tokens is not less than max_seqlen_q",
            "list_seq_k is greater than 1024",
            "0 should not exist in list_seq_k",
            "should be `(B, N1, 1024, S2)` and `(1, N1, 1024, S2)` when",
        ),
        "the layout is BNSD",
        r", I64\(1\), I64\(0\)\)",
    ),
    Note(
        (
            "this parameter does not take effect",
            "When sparse_mode is 3",
            "different, not implemented yet",
            "scenario, not implemented yet",
            "In compression scenario",
            "When sparse_mode is 5",
            "When sparse_mode is 0 and 1",
            "N value of each Batch",
            "B max value 32",
            "N ranges from",
            "sparse_mode is 2 or 3 for",
        ),
        "the mode is 0, without a mask",
        r", I64\(0\)\)",
    ),
    Note(("reserved and not implemented",), "the default", r", I64\(0\), I64\(1\), I64\(0\)\)"),
    Note(
        (
            "**real_shift** (Union",
            "S is greater than 1024",
            "**drop_mask** (Union",
            "S2 is a multiple of 8 when",
            "Not implemented yet",
            "**attn_mask** (Union",
            "**actual_seq_qlen** (Union",
            "**actual_seq_kvlen** (Union",
        ),
        "it is not given",
        r"^\((%\w+, ){3,4}(None, ){4}",
    ),
    Note(("takes effect only when",), "the mode is 0", r", I64\(0\)\)", only=NEWEST),
    Note(("Not none only when sparse_mode is 5",), "the mode is 0", r", I64\(0\)\)", only=OLDEST),
    Note(("Only support on Atlas A2 training series",), "the first generation gets none", only=OLDEST),
]
