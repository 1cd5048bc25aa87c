"""Changes of bytes, and of the seeds they start from, for `fuzz.py`; `random.Random` picks all."""

import copy
import gzip
import io
import json
import re
import struct

import pyarrow as pa
import pyarrow.parquet as pq

NUMBERS = (
    b"1e400",
    b"-1e400",
    b"1e-400",
    b"5e-324",
    b"1.7976931348623157e308",
    b"-1.7976931348623157e308",
    b"NaN",
    b"Infinity",
    b"-inf",
    b"0",
    b"-0",
    b"-0.0",
    b"-1",
    b"2147483648",
    b"4294967296",
    b"9007199254740993",
    b"9223372036854775808",
    b"-9223372036854775809",
    b"18446744073709551616",
    b"9" * 400,
    b"9" * 5000,
    b"0x10",
    b"1_0",
    b"1,5",
    b"null",
    b"true",
    b'"1"',
    b'"oops"',
    "\u0663".encode(),
    b"",
)
TOKENS = (
    *(b"{", b"}", b"[", b"]", b":", b",", b'"', b"\\", b"\\u0000", b"\\ud800", b"\n", b"\r"),
    *(b"\r\n", b"\0", b"\t", b";", b"|", b" ", b"#", b"-", b"- ", b"'", b"__MIN", b" - "),
    *(b"{}", b"[]", b"[[]]", b"[{}]", b'""', b"null", b"true", b"NaN", b"\xef\xbb\xbf"),
    *(b"lr", b"lrs", b"loss", b"losses", b"run", b"step", b"epoch", b"train_loss", b"lr_0"),
    *(b'"lr":', b'"loss":', b'"smoothing":', b'"format":', b'"history":', b'"results":'),
    *(b'"log_history":', b'"global_step":', b'"version":', b'"sweep":', b'"best_loss":'),
    *(b'"fastai"', b'"ignite"', b'"lightning"', b'"none"', b"lr-Adam/pg1", b"Step", b"_step"),
    *(b"PAR1", b"ARROW1", b"\x1f\x8b\x08", b"BZh9", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18"),
    *(b"\xff\xff\xff\xff\0\0\0\0", b"\xff\xff\xff\xff", b"SQLite format 3\0", b"brain.Event:2"),
    *(b"experiment_id:", b"run_id:", b"lifecycle_stage: deleted", b"Wall time,Step,Value\n"),
    *(b'"type":"combine"', b'"type":"poly"', b'"type":"exp"', b'"pcts":', b'"scheds":'),
    *(b'"parts":', b'"suggestions":', b'"settings":', b'"num_it":', b'"start":', b'"end":'),
)
BAD_UTF8 = (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80", b"\xfe\xff")
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_NAME = re.compile(rb'"[^"\\]{0,40}"')
_LIMITS = (0, 1, -1, 127, 255, 32767, 65535, 2**31 - 1, -(2**31), 2**32, 2**62, 2**63 - 1, -(2**63))
_LONGEST = 1 << 20


def _span(rng, data, longest=64):
    """Return the two ends of a block."""
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.randint(1, longest))


def flip(rng, data, _):
    """Turn single bits over."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8)) if data else 0):
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def overwrite(rng, data, _):
    """Put other bytes in the place of some."""
    start, stop = _span(rng, data, 8)
    return data[:start] + rng.randbytes(stop - start) + data[stop:]


def limits(rng, data, _):
    """Put a number at the ends of its range in the place of a binary one."""
    size, kind = rng.choice(((1, "b"), (2, "h"), (4, "i"), (8, "q")))
    if len(data) < size:
        return data
    at = rng.randrange(len(data) - size + 1)
    if rng.random() < 0.5:
        at -= at % size
    number = rng.choice([one for one in _LIMITS if -(1 << 8 * size - 1) <= one < 1 << 8 * size - 1])
    return data[:at] + struct.pack("<" + kind, number) + data[at + size :]


def delete(rng, data, _):
    """Leave a block out."""
    start, stop = _span(rng, data, rng.choice((1, 8, 64, 4096)))
    return data[:start] + data[stop:]


def insert(rng, data, _):
    """Put bytes in."""
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.randbytes(rng.choice((1, 4, 32))) + data[at:]


def truncate(rng, data, _):
    """Leave the end out."""
    return data[: rng.randrange(len(data) + 1)]


def behead(rng, data, _):
    """Leave the beginning out."""
    return data[rng.randrange(min(len(data), 512) + 1) :]


def duplicate(rng, data, _):
    """Have a block several times."""
    start, stop = _span(rng, data, rng.choice((8, 256, 8192)))
    times = min(rng.choice((2, 3, 50, 1000)), _LONGEST // max(1, stop - start))
    return data[:start] + data[start:stop] * times + data[stop:]


def swap(rng, data, _):
    """Exchange two blocks."""
    a, b = _span(rng, data)
    c, d = _span(rng, data)
    if c < a:
        a, b, c, d = c, d, a, b
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:] if b <= c else data


def splice(rng, data, other):
    """Go on as another file, or hold a piece of it."""
    at = rng.randrange(len(data) + 1)
    start, stop = _span(rng, other, 4096)
    return data[:at] + other[start:stop] + (data[at:] if rng.random() < 0.5 else b"")


def number(rng, data, _):
    """Put an extreme in the place of a number."""
    for _ in range(rng.choice((1, 1, 3))):
        if found := list(_NUMBER.finditer(data)):
            start, stop = rng.choice(found).span()
            data = data[:start] + rng.choice(NUMBERS) + data[stop:]
    return data


def name(rng, data, _):
    """Put a value in the place of a name or text of JSON, or a known name in its place."""
    found = list(_NAME.finditer(data))
    if not found:
        return data
    start, stop = rng.choice(found).span()
    other = rng.choice(found)[0] if rng.random() < 0.5 else rng.choice(TOKENS).rstrip(b":")
    return data[:start] + other + data[stop:]


def token(rng, data, _):
    """Put a word of one of the formats in."""
    start, stop = _span(rng, data, 8)
    stop = start if rng.random() < 0.5 else stop
    return data[:start] + rng.choice(TOKENS) + data[stop:]


def nest(rng, data, _):
    """Nest deep: a number, or the place between two values."""
    found = list(_NUMBER.finditer(data))
    start, stop = rng.choice(found).span() if found else _span(rng, data)
    deep = rng.choice((2, 70, 1000, 100_000))
    left, right = rng.choice(((b"[", b"]"), (b'{"a":', b"}"), (b'[{"lr":', b"}]"), (b"(", b")")))
    closed = right * deep if rng.random() < 0.7 else b""
    return data[:start] + left * deep + data[start:stop] + closed + data[stop:]


def not_utf8(rng, data, _):
    """Put bytes in that are no UTF-8."""
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(BAD_UTF8) + data[at:]


def lines(rng, data, _):
    """Exchange, leave out or double lines."""
    found = data.splitlines(keepends=True)
    if len(found) < 2:
        return data
    a, b = rng.randrange(len(found)), rng.randrange(len(found))
    action = rng.randrange(4)
    if action == 0:
        found[a], found[b] = found[b], found[a]
    elif action == 1:
        del found[a : a + rng.choice((1, 1, 10))]
    elif action == 2:
        found[b:b] = [found[a]] * rng.choice((1, 3, 2000))
    else:
        found[a:b] = reversed(found[a:b])
    return b"".join(found)[: 4 * _LONGEST]


def utf16(rng, data, _):
    """Write a text in UTF-16, with a mark or with half of one."""
    mark, encoding = rng.choice(((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")))
    text = data.decode(errors="replace").encode(encoding)
    return mark + text[: len(text) - rng.randrange(2)]


def squeeze(rng, data, _):
    """Compress, whole or cut off."""
    squeezed = gzip.compress(data, mtime=0)
    return squeezed if rng.random() < 0.5 else squeezed[: rng.randrange(len(squeezed))]


def records(rng, data, other):
    """Change what is in a record of an event file, and make its lengths and sums right again."""
    found = list(frames(data))
    if not found:
        return data
    start, stop = rng.choice(found)
    payload = rng.choice(PLAIN)(rng, data[start + 12 : stop - 4], other)[:65536]
    size = struct.pack("<Q", len(payload))
    framed = size + _masked(size) + payload + _masked(payload)
    return data[:start] + framed * rng.choice((1, 1, 1, 2)) + data[stop:]


def frames(data):
    """Yield the two ends of each whole record of an event file."""
    start = 0
    while start + 12 <= len(data):
        stop = start + 16 + struct.unpack_from("<Q", data, start)[0]
        if stop > len(data):
            return
        yield start, stop
        start = stop


def _table():
    # CRC-32C, as event files have it: https://www.rfc-editor.org/rfc/rfc3720#appendix-B.4
    table = list(range(256))
    for _ in range(8):
        table = [one >> 1 ^ (0x82F63B78 if one & 1 else 0) for one in table]
    return table


_CRC = _table()


def _masked(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 255]
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


VALUES = (
    *(None, True, False, 0, -1, 1, float("nan"), float("inf")),
    *(0.5, -0.0, 1.0, 5e-324, 1e-300, -0.25, 1e308, -1e308, 1.7976931348623157e308),
    *(2**31, 2**53 + 1, 2**63, 2**64, 10**400, "", "x", "NaN", "0.1", "\ud800", "\0", "none"),
    *([], {}, [[]], [{}], [None], [0.1, "x"], [0.1, [0.2]], [[0.1], [0.2, 0.3]], [[[0.1]]]),
    *({"": 0}, {"lr": 0.1, "loss": 1}, {"lr": [0.1], "loss": [1]}, [{"lr": 0.1, "loss": 1}]),
)


def value(rng, data, other):
    """Put another value in the place of one in JSON, or leave it out, or give it another name."""
    try:
        document = json.loads(data)
        found = json.loads(other) if rng.random() < 0.2 else document
        _change(rng, document, found)
        return json.dumps(document).encode()
    except (ValueError, RecursionError):
        return data


def _change(rng, document, found):
    places = list(_places(document))
    for _ in range(rng.choice((1, 1, 2)) if places else 0):
        holder, key = rng.choice(places)
        action = rng.randrange(5)
        if action == 0 and isinstance(holder, dict):
            holder.pop(key, None)
        elif action == 1 and isinstance(holder, dict):
            name = rng.choice([*holder, *_NAMES])
            holder[name] = holder.get(key)
        elif action == 2:
            inner, at = rng.choice(list(_places(found)) or [(holder, key)])
            _put(holder, key, copy.deepcopy(_get(inner, at)))
        else:
            old = _get(holder, key)
            alike = [one for one in VALUES if type(one) is type(old)] if action == 3 else VALUES
            _put(holder, key, copy.deepcopy(rng.choice(alike or VALUES)))


_NAMES = (
    *("lr", "lrs", "loss", "losses", "raw_loss", "run", "step", "name", "id", "smoothing"),
    *("format", "history", "results", "best_loss", "log_history", "global_step", "lr_0", "parts"),
)


def _places(document):
    """Yield every object or list with each of its keys."""
    waiting = [document] if isinstance(document, (dict, list)) else []
    while waiting:
        one = waiting.pop()
        items = one.items() if isinstance(one, dict) else enumerate(one)
        for key, inner in items:
            yield one, key
            if isinstance(inner, (dict, list)):
                waiting.append(inner)


def _get(holder, key):
    return holder.get(key) if isinstance(holder, dict) else holder[key] if key < len(holder) else 0


def _put(holder, key, value):
    if isinstance(holder, dict) or key < len(holder):
        holder[key] = value


_COLUMNS = ("lr", "loss", "run", "step", "lr-a", "raw_loss", "note", "epoch", "", "\0", "lrs")
_F64 = pa.list_(pa.float64())
_KINDS = (
    *(pa.float64(), pa.float32(), pa.float16(), pa.int64(), pa.uint64(), pa.int8(), pa.bool_()),
    *(pa.string(), pa.large_string(), pa.binary(), pa.null(), pa.decimal128(9, 3), pa.date32()),
    *(_F64, pa.list_(pa.float32()), pa.list_(pa.int64()), pa.large_list(pa.float64())),
    *(pa.list_(pa.float64(), 2), pa.list_(pa.string()), pa.list_(_F64), pa.timestamp("us")),
    *(pa.struct([("lr", pa.float64())]), pa.dictionary(pa.int8(), pa.string())),
    *(pa.dictionary(pa.int32(), pa.int64()), pa.map_(pa.string(), pa.string())),
)


def table(rng):
    """Return a file of a random table: its name and its bytes."""
    usual = rng.choice((_F64, pa.float64()))
    rows = rng.choice((0, 1, 2, 3, 40))
    names = ["lr", "loss", *rng.choices(_COLUMNS, k=rng.randrange(5))]
    if rng.random() < 0.8:
        names = list(dict.fromkeys(names))
    columns = []
    for name in names:
        is_usual = name in {"lr", "loss"} and rng.random() < 0.8
        columns.append(_column(rng, usual if is_usual else rng.choice(_KINDS), rows))
    made, file = pa.table(columns, names=names), io.BytesIO()
    kind = rng.choice(("parquet", "arrow", "arrows"))
    if kind == "parquet":
        try:
            how = rng.choice(("none", "snappy", "zstd"))
            pq.write_table(made, file, compression=how, row_group_size=rng.choice((1, 7, 100)))
        except pa.ArrowException:
            return "a.parquet", b""  # of a type that Parquet has not
    else:
        how = pa.ipc.new_file if kind == "arrow" else pa.ipc.new_stream
        with how(file, made.schema) as writer:
            writer.write_table(made, max_chunksize=rng.choice((1, 7, 100)))
    return f"a.{kind}", file.getvalue()


def _column(rng, kind, rows):
    if kind == pa.string() and rng.random() < 0.1:
        return _column(rng, pa.binary(), rows).view(kind)  # which may be no UTF-8
    values = [_cell(rng, kind) for _ in range(rows)]
    try:
        return pa.array(values, kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return pa.nulls(rows, kind)


def _cell(rng, kind):
    """Return a value of a kind, null now and then."""
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    cells = _CELLS["other"]
    if types.is_map(kind) or types.is_struct(kind):
        cells = ([("lr", "b")],) if types.is_map(kind) else ({"lr": 0.1},)
    elif types.is_fixed_size_list(kind):
        cells = ([_cell(rng, kind.value_type) for _ in range(2)],)
    elif types.is_list(kind) or types.is_large_list(kind):
        cells = ([_cell(rng, kind.value_type) for _ in range(rng.choice((0, 1, 2, 2, 2)))],)
    elif types.is_floating(kind):
        cells = _CELLS["float"]
    elif types.is_integer(kind):
        cells = _CELLS["wide" if kind.bit_width > 8 else "other"]
    elif types.is_binary(kind):
        cells = _CELLS["bytes"]
    elif types.is_string(kind) or types.is_large_string(kind):
        cells = _CELLS["text"]
    return None if rng.random() < 0.05 else rng.choice(cells)


_CELLS = {
    "float": (0.1, 0.2, 0.5, 0.1, 0.2, -0.0, 1e308, float("nan"), float("inf")),
    "wide": (0, 1, 2, 3, 127, 2**53 + 1, 2**64 - 1),
    "bytes": (b"\xff", b"a"),
    "text": ("a", "b", "", "0.1", "x/y"),
    "other": (0, 1),
}


PLAIN = (flip, overwrite, limits, delete, insert, truncate, behead, duplicate, swap, splice)
TEXT = (number, number, number, name, name, token, token, nest, not_utf8, lines, utf16)


def mutate(rng, data, other):
    """Return bytes with one change or some.

    Args:
        rng: A `random.Random`.
        data: The bytes.
        other: Those of another file.
    """
    kinds = [*PLAIN, squeeze]
    if b"brain.Event:" in data[:64]:
        kinds += [records] * 3 * len(PLAIN)
    elif b"\0" not in data[:64]:
        kinds += TEXT * 2
        if data[:1] in {b"{", b"["}:
            kinds += [value] * len(kinds)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 6))):
        data = rng.choice(kinds)(rng, data, other)
    return data[: 4 * _LONGEST]
