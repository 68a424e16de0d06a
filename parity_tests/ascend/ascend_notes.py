"""The answers to the warnings of MindSpore's documentation: why each does no harm, and what every call must be like for it."""

from parity_tests.ascend.ascend_attention_notes import ATTENTION
from parity_tests.ascend.ascend_note_kinds import A_TENSOR, COMPILED, NEWEST, OLDEST, PERMITS, SAME_TYPE, TYPES, Note

STATUS = "it is cleared before the first operator of a step, and read after its gradients"
OVERFLOW = "gradients of an overflow are not used"

CONVOLUTION = [
    Note(
        ("only group convolution in depthwise", "when `group>1`"),
        "one group, or one group per channel",
        r" group: I64\(1\)| out_channel: I64\((\d+)\).* group: I64\(\1\)",
    ),
    Note(("`pad` must be 0", "`pad` must be greater than"), "its amount is given", r" pad: \(\d+, .* pad_mode: I64\(0\)"),
    Note(("NHWC is only supported in GPU",), "the format is NCHW", ' format: "NCHW"'),
    Note(("are in the ranges [1, H] and [1, W]",), "there is no dilation", r" dilation: \(1, 1, 1, 1\)"),
    Note(("the range is :math:`[0, ", "it should has shape"), COMPILED),
]

NOTES: dict[str, list[Note]] = {
    "Adam": [
        Note(("the result is unpredictable",), "nothing else changes the weights at the same time"),
        Note(("The data type can be float16 or float32",), TYPES, takes=(0, 1, 2, 9)),
        Note(("the shape should be the same as `var`",), COMPILED),
    ],
    "Add": [
        Note(
            ("the dimension should be greater than or equal to 1",),
            "it is not kept: MindSpore itself makes a tensor without axes of a number that is added to one",
        )
    ],
    "AllReduce": [
        Note(("same shape and format in all processes",), "all processes compile the same graph"),
        Note(("only 'sum' is supported",), "it is the sum", 'op: "sum"'),
        Note(("hccl_world_group",), "a name", 'group: "hccl_world_group"'),
    ],
    "Argmax": [Note(("Supported types: ``mstype.int32``",), "34 is int32", r", I64\(34\)\)")],
    "Assign": [Note(("The shape must be the same as that of `variable`",), COMPILED, only=NEWEST)],
    "BatchMatMul": [
        Note(
            ("must be at least `2`",),
            "3 or 4; the same rank is asked for on other devices",
            r": \(<Tensor\[\w+\], \(([-\d]+, ){2,3}[-\d]+\)[^>]*>, <Tensor\[\w+\], \(([-\d]+, ){2,3}[-\d]+\)",
        ),
        Note(("its shape must be",), COMPILED),
    ],
    "BatchNorm": [
        Note(("is used for inference",), "it is used for training", r", Bool\(1\), "),
        Note(
            ("Ascend 310",), "a card for inference, where BatchNorm is folded into the linear layer before it", r", Bool\(1\), "
        ),
        Note(("must be (0, 1]", "must be [0, 1]"), "they are", r", F32\(1e-05\), F32\(0\.1\), "),
        Note(("is only supported in GPU target",), "the format is NCHW", r", F32\(0\.1\), I64\(0\), "),
        Note(("**input_x** (Tensor)", "dtype of `input_x`, `scale`"), TYPES, takes=(0, 1)),
        Note(("**scale** (Union",), TYPES, takes=(1, 2, 3, 4)),
    ],
    "BiasAdd": [
        Note(('It should be ``"NHWC"``',), "the format is NCHW", r", I64\(0\)\)"),
        Note(("Supported dtypes:", "Ascend/CPU: all Number type"), "they are numbers", r"(?s)^(?!.*Tensor\[Bool\])"),
        Note(("GPU: float16, float32, int8",), "another device"),
        Note(("C must be the same as channel dimension",), COMPILED),
    ],
    "BroadcastTo": [
        Note(("than or equal to that of target", "to the target shape is not supported"), COMPILED),
        Note(("dims of output shape does not have -1 in it",), PERMITS, only=OLDEST),
    ],
    "Cast": [Note(("complex numbers", "As long as the real part is non-zero"), "there are none", r"(?s)^(?!.*Complex)")],
    "ClampScalar": [
        Note(
            ("cannot be None at the same time", "is not None"),
            "both are given",
            r"^\(%\w+, [IF]\d+\([^)]+\), ([IF]\d+\([^)]+\)|%\w+)\)",
        ),
        Note(("cannot be bool type",), "there is none", r"(?s)^(?!.*: \(<Tensor\[Bool\])"),
        Note(("Limits the value of", "Tensors of arbitrary dimensions are supported"), PERMITS),
        Note(("`min` is greater than `max`",), "the smaller one is given first"),
    ],
    "Concat": [Note(("should be equal",), COMPILED)],
    "Conv2D": CONVOLUTION,
    "Conv2DBackpropFilter": [Note(("It should be 'NHWC' or 'NCHW'",), "it is NCHW", 'data_format: "NCHW"'), *CONVOLUTION],
    "Conv2DBackpropInput": [Note(("interface is deprecated",), "MindSpore's own gradient of Conv2D has it"), *CONVOLUTION],
    "Depend": [Note(("must be executed before B",), PERMITS)],
    "ExpandDims": [
        Note(("The dimension of `input_x` should be",), "it is", r": \(<Tensor\[\w+\], \([-\d]"),
        Note(("If the specified axis is a negative number",), PERMITS),
    ],
    "FlashAttentionScore": [
        *ATTENTION,
        Note(("**query** (Tensor[",), TYPES, takes=(0,)),
        Note(("**key** (Tensor[",), TYPES, takes=(1,)),
        Note(("**value** (Tensor[",), TYPES, takes=(2,)),
    ],
    "FlashAttentionScoreGrad": [
        *(note for note in ATTENTION if "Only support on Atlas A2 training series" not in note.says),
        Note(("**query** (Tensor[", "**key** (Tensor[", "**value** (Tensor["), TYPES, takes=(0, 1, 2, 3)),
    ],
    "Gather": [
        Note(
            ("must be in the range", "out of bound", "may be undefined"), "the indices are labels, and 0 where they are ignored"
        ),
        Note(("cannot be `mindspore.bool`",), "it is not", r": \(<Tensor\[Float32\]"),
        Note(("The shape of returned tensor",), PERMITS),
    ],
    "GatherD": [
        Note(
            ("the behavior is unpredictable", "in forward", "in backward"),
            "the indices are labels, and 0 where they are ignored, or Sort's order",
        ),
        Note(("have the same length of dimensions",), COMPILED),
    ],
    "GeLU": [
        Note(("value of infinity", "x is -inf", "x is inf", "higher precision"), OVERFLOW),
        Note(("the data type is float16", "dtype of `x` is not float16"), TYPES, takes=(0,)),
    ],
    "GeluExt": [
        Note(("On the Ascend platform",), OVERFLOW),
        Note(
            ("the data type is float16",), "the same page names bfloat16, too", r": \(<Tensor\[(B?Float16|Float32)\]", only=OLDEST
        ),
        Note(("dtype of `input` is not bfloat16",), TYPES, takes=(0,), only=OLDEST),
    ],
    "LayerNorm": [
        Note(
            ("the value must be in [-1,", "`begin_params_axis` needs to be"),
            "both are the last axis",
            r"%\w+, I64\((-1)\), I64\(\1\)",
        ),
        Note(("Supported dtypes: float16",), TYPES, takes=(0, 1, 2)),
    ],
    "LogSoftmax": [Note(("with float16 or float32 data type", "neither float16 nor float32"), TYPES, takes=(0,))],
    "MatMul": [
        Note(("performance will be poor",), "slower, not wrong"),
        Note(("The dtype of inputs must be same",), "it is", SAME_TYPE),
        Note(("float64 doesn't be supported",), "there is none", r"(?s)^(?!.*Float64)"),
        Note(("its shape must be",), COMPILED),
    ],
    "MatMulExt": [
        Note(("must have the same data type",), "they have", SAME_TYPE, only=NEWEST),
        Note(("The dtype of `input` and `other` must be same",), "it is", SAME_TYPE, only=OLDEST),
        Note(
            ("rank of `input` or `other`",),
            "1 to 6",
            r": \(<\S+, \([-\d]+(, [-\d]+){0,5}\)[^>]*>, <\S+, \([-\d]+(, [-\d]+){0,5}\)",
        ),
        Note(("must not be empty tensors",), "the shapes are known", r"(?s)^(?!.*\W-1\W)", only=NEWEST),
    ],
    "Maximum": [Note(("all inputs are scalar of integers", "In Graph mode, the output"), "there is a tensor", A_TENSOR)],
    "NPUClearFloatStatusV2": [
        Note(("located in a register", "should first call", "Depend` needs to be used"), STATUS),
        Note(("data type", "additional input and output"), "eight numbers of int32", r": \(<Tensor\[Int32\], \(8\)>\)"),
    ],
    "NPUGetFloatStatusV2": [
        Note(("located in a register", "should first call", "Depend` needs to be used"), STATUS),
        Note(("data type", "additional input is added"), "eight numbers of int32", r": \(<Tensor\[Int32\], \(8\)>\)"),
    ],
    "OneHot": [
        Note(("If the input indices is rank", "The new axis is created"), PERMITS),
        Note(
            ("`on_value` is Int64",), "it is float32", r"dtype=Float32, value=1\), Tensor\(shape=\[\], dtype=Float32, value=0\)"
        ),
        Note(("must be int32 or int64", "dtype of `indices`"), TYPES, takes=(0,)),
        Note(("dtype of `on_value`",), TYPES, takes=(2, 3)),
    ],
    "PowTensorScalar": [Note(("the shapes of `input` and `exponent`",), "it is a number", r", I64\(\d+\)\)", only=NEWEST)],
    "Reshape": [Note(("The -1 in the parameter `shape`",), PERMITS)],
    "ResizeBilinearV2": [
        Note(("The resizing only affects",), PERMITS),
        Note(("`align_corners` should be ``False``",), "it is", r", Bool\(0\), Bool\(1\)\)"),
        Note(("with data type of float32 or float16",), TYPES, takes=(0,)),
    ],
    "ReverseV2": [Note(("The value range of", "is the dimension length"), COMPILED)],
    **{
        operator: [
            Note(("The inputs can be constant", "Usage is the same as"), PERMITS),
            Note(
                ("only have 'CPU' implementation",),
                "a size, which the host computes",
                r": \(<Int64, NoShape>, <Int64, NoShape>\)",
            ),
        ]
        for operator in ("ScalarFloorDiv", "ScalarMul", "ScalarSub")
    },
    "ScalarToTensor": [
        Note(("constant value is allowed",), "a size that is known when the graph runs; the compiler takes it", r", I64\(35\)\)")
    ],
    "Select": [Note(("must be selected from",), PERMITS)],
    "Slice": [
        Note(("constant value(>=0)", "`begin` is zero-based"), "it is a constant", r", \(I64\(\d+\)(, I64\(\d+\))*\), "),
        Note(
            ("constant value is allowed",),
            "constants, or one size that the compiler infers from the image's",
            r", \(I64\(\d+\)(, I64\(\d+\))*\)\)|^\(Tensor\(shape=\[16384\].*, \(I64\(0\)\), %\w+\)",
        ),
    ],
    "Softmax": [Note(("with float16 or float32 data type",), TYPES, takes=(0,))],
    "Sort": [
        Note(
            ("are well supported", "may cause loss of accuracy"),
            "only the order is used: errors of 0 to 1 in the order of float16 change the loss by 2^-11 at most",
        ),
        Note(
            ("only supports sorting the last dimension",),
            "of two",
            r" axis: I64\(1\)\}.*\n *: \(<Tensor\[\w+\], \([-\d]+, [-\d]+\)>",
        ),
    ],
    "Split": [
        Note(("Must be positive int",), "it is", r", I64\([1-9]\d*\)\)"),
        Note(("If `split_size_or_sections` is", "The last chunk will have"), PERMITS),
    ],
    "SplitV": [
        Note(("the sum of these sizes should equal",), COMPILED),
        Note(("the value -1",), PERMITS),
        Note(("Must be positive int",), "1 to 32, as a buffer has", r" num_split: I64\(([1-9]|[12]\d|3[0-2])\)"),
    ],
    "Squeeze": [
        Note(("it must be int32 or int64",), "it is", r"^\(%\w+, \(I64\("),
        Note(("in dynamic graph mode",), "this is the other mode"),
        Note(("only support remove dimensions of size 1",), COMPILED, only=OLDEST),
    ],
    "Stack": [Note(("The range is",), COMPILED)],
    "StridedSlice": [
        Note(("must have the same shape", "than the dim of `input_x`"), COMPILED),
        Note(("`begin_mask` is 1", "`end_mask` is analogous"), PERMITS),
        Note(
            ("Only one non-zero bit is allowed", "not recommended to use at the same time"),
            "both masks are 0",
            r", I64\(\d+\), I64\(\d+\), I64\(0\), I64\(0\), I64\(\d+\)\)",
        ),
    ],
    "StridedSliceGrad": [
        Note(("An int32 mask",), PERMITS),
        Note(("not recommended to use at the same time",), "one of them is 0", r"[ {]new_axis_mask: I64\(0\)"),
        Note(("Only one non-zero bit is allowed",), "there is none", r" ellipsis_mask: I64\(0\)"),
    ],
    "Sub": [Note(("the second input should be a number.Number",), COMPILED)],
    "TensorScatterElements": [
        Note(("correspond to the same position",), "the indices are a permutation"),
        Note(
            ("accepted range is [", "exceed the upper"),
            "the indices are a permutation",
        ),
        Note(("Negative `indices` are illegal",), "the indices are a permutation", only=NEWEST),
        Note(("The backward is supported only",), "no gradient is taken"),
        Note(("ank must be at least 1",), "it is 2", r": \(<Tensor\[\w+\], \([-\d]+, [-\d]+\)"),
        Note(("must be int32 or int64",), TYPES, takes=(1,)),
        Note(
            ("Not support implicit type conversion",),
            "the types are equal",
            r": \(<Tensor\[(\w+)\][^>]*>, <[^>]*>, <Tensor\[\1\]",
        ),
        Note(("the reduction only support set to", "supports ``none`` , ``add``"), "it is", 'reduction: "none"'),
        Note(("the data type of `input_x` must be float16 or float32",), TYPES, takes=(0,)),
    ],
    "Tile": [
        Note(("more than 4 dimensions",), "a map has four", r", \(I64\(\d+\)(, I64\(\d+\)){0,3}\)"),
        Note(("If `input.dim",), PERMITS),
        Note(("For example, set the",), PERMITS, only=NEWEST),
        Note(("Such as set the",), PERMITS, only=OLDEST),
    ],
    "Transpose": [
        Note(("Negative value of", "its actual value is"), "there is none", r", \(I64\(\d+\)(, I64\(\d+\))*\)"),
    ],
}
