#!/usr/bin/env python3
"""Writes models that know nothing, for the real programs of fetch.py: small, made in a moment, and predictable.

  models.py chat FILE [--say TEXT] [--context N]   answers TEXT, whatever it is asked
  models.py embed FILE [--width N]                 vectors in which texts that share words are near each other
  models.py rank FILE                              scores pairs of texts: steady, without meaning
  models.py hear FILE [--say TEXT]                 whisper-server hears TEXT in any sound

How a model can be made to say a text without training: every word of TEXT is a token with an axis of its own. The
layers between input and output are nearly nothing, so what comes out is the last token's vector, and the output row of
the next word points along the last word's axis. Standard library only.
"""
import argparse
import array
import random
import struct

TEXT = "Hello from the model of the tests. It has learned nothing, and says so in one fixed order!"
FLOAT, HALF = 0, 1
UNKNOWN, CONTROL, WORD, BYTE = 2, 3, 1, 6
SPACE = "\u2581"

TEMPLATE = """{% if tools %}<|turn|>system
Functions:{% for tool in tools %}
{{ tool | tojson }}{% endfor %}
Call one with <tool_call>
{"name": ..., "arguments": ...}
</tool_call><|end|>
{% endif %}{% for message in messages %}<|turn|>{{ message.role }}
{% if message.content %}{{ message.content }}{% endif %}{% for call in message.tool_calls or [] %}<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor %}<|end|>
{% endfor %}{% if add_generation_prompt %}<|turn|>assistant
{% endif %}"""

VOCABULARY = """account address animal answer apple april autumn backup bank battery bicycle bird blue book bread bridge
budget building cable calendar camera candle car castle cat chair child chunk city climate cloud coffee colour computer
contract cook corner country cream dance data day desk dinner doctor document dog door dream driver earth east engine
evening family farm field fire fish flight floor flower forest friend fruit garden glass gold grass green ground guitar
hair hand harbour heart hill history holiday home horse hospital hotel hour house index invoice island jacket january
journey key kitchen lake lamp language leaf letter library light lion machine market meadow meal medicine memory milk
mind minister mirror money month moon morning mountain mouse music name needle neighbour network night north novel
number ocean office oil orange order paper parcel park password path pencil piano picture plane planet plant plate
player pocket poem price printer prize queen question rain reader recipe red refund report restaurant return rice river
road roof room rose salt sand school science screen sea search season server shadow ship shop silver sky sleep snow song
south spoon spring square star station stone storm story street student sugar summer sun table taxi tea teacher tower
town train travel tree valley vector village violin voice wall warranty water weather week west wheat wheel wind window
wine winter wolf wood word writer year yellow""".split()
# Words that say nothing of what a text is about get short vectors.
LIGHT = """a an and are as at be but by can did do does for from has have he her his how i if in is it its me my no not
of on or our she so that the their them there they this to up was we were what when where which who why will with you
your . , ; : ! ? ( ) ' " -""".split()


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


class Gguf:
    """A GGUF file, version 3, being put together: named values, then tensors of 32-bit floats."""
    KINDS = {int: (4, "I"), float: (6, "f")}

    def __init__(self, architecture):
        self.values, self.tensors, self.offset = [], [], 0
        self.architecture = architecture
        self.set("general.architecture", architecture)

    def set(self, name, value):
        if isinstance(value, str):
            body = struct.pack("<I", 8) + text(value)
        elif isinstance(value, bool):
            body = struct.pack("<IB", 7, value)
        elif isinstance(value, list):
            body = struct.pack("<I", 9)
            if isinstance(value[0], str):
                body += struct.pack("<IQ", 8, len(value)) + b"".join(map(text, value))
            else:
                kind, code = (5, "i") if isinstance(value[0], int) else (6, "f")
                body += struct.pack("<IQ", kind, len(value)) + array.array(code, value).tobytes()
        else:
            kind, code = self.KINDS[type(value)]
            body = struct.pack("<I" + code, kind, value)
        self.values.append(text(name) + body)

    def own(self, **values):
        for name, value in values.items():
            self.set(f"{self.architecture}.{name.replace('__', '.')}", value)

    def tokens(self, **values):
        for name, value in values.items():
            self.set("tokenizer.ggml." + name, value)

    def tensor(self, name, numbers, *shape):
        data = array.array("f", numbers).tobytes()
        head = text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
        self.tensors.append((head + struct.pack("<IQ", FLOAT, self.offset), data + bytes(-len(data) % 32)))
        self.offset += len(self.tensors[-1][1])

    def write(self, path):
        head = struct.pack("<4sIQQ", b"GGUF", 3, len(self.tensors), len(self.values)) + b"".join(self.values)
        head += b"".join(description for description, _ in self.tensors)
        with open(path, "wb") as file:
            file.write(head + bytes(-len(head) % 32))
            for _, data in self.tensors:
                file.write(data)


class Noise:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def __call__(self, count, spread):
        return [self.random.gauss(0, spread) for _ in range(count)]


def split(say):
    """TEXT in pieces of one word or more, no piece twice, so that each has one that follows it."""
    pieces, open_piece = [], ""
    for word in say.replace(" ", " " + SPACE).split(" "):
        open_piece += word
        if len(open_piece) > 1 and open_piece not in pieces:
            pieces.append(open_piece)
            open_piece = ""
    if open_piece:
        pieces[-1:] = ["".join(pieces[-1:]) + open_piece]
    return pieces


def chat(path, say, context):
    special = ["<unk>", "<s>", "</s>", "<|turn|>", "<|end|>"]
    words = split(say)
    tokens, kinds = list(special), [UNKNOWN] + [CONTROL] * 4
    for group, kind in (([f"<0x{byte:02X}>" for byte in range(256)], BYTE),
                        ([SPACE] + [chr(code) for code in range(33, 127)], WORD),
                        (words + [SPACE + word for word in VOCABULARY], WORD)):
        for token in group:
            if token not in tokens:
                tokens.append(token)
                kinds.append(kind)
    count, heads, layers = len(tokens), 4, 2
    width = -(-(len(words) + 12) // 32) * 32
    noise = Noise(7)

    # Axis 0 is the ground that every token stands on; axis 1 + i belongs to word i; the rest tells tokens apart a bit.
    first = len(words) + 1
    rows = [[1.0] + [0.0] * (first - 1) + noise(width - first, 0.3) for _ in tokens]
    outputs = [[-9.0] + [0.0] * (width - 1) for _ in tokens]
    chain = [tokens.index(word) for word in words]
    outputs[chain[0]][0] = 0.0  # after anything that is not of TEXT, TEXT begins
    for place, (token, following) in enumerate(zip(chain, chain[1:] + [2]), 1):
        rows[token] = [1.0 if axis in (0, place) else 0.0 for axis in range(width)]
        outputs[following][place] = 20.0

    model = Gguf("llama")
    model.set("general.name", "test-chat")
    model.own(context_length=context, embedding_length=width, block_count=layers, feed_forward_length=width,
              attention__head_count=heads, attention__head_count_kv=heads, vocab_size=count,
              rope__dimension_count=width // heads, attention__layer_norm_rms_epsilon=1e-5)
    # Without a space before the text: an answer bound to a grammar would have to begin with it.
    model.tokens(model="llama", tokens=tokens, scores=[float(-place) for place in range(count)], token_type=kinds,
                 unknown_token_id=0, bos_token_id=1, eos_token_id=2, eot_token_id=4, add_bos_token=True,
                 add_space_prefix=False)
    model.set("tokenizer.chat_template", TEMPLATE)
    model.tensor("token_embd.weight", (x for row in rows for x in row), width, count)
    model.tensor("output.weight", (x for row in outputs for x in row), width, count)
    model.tensor("output_norm.weight", [1.0] * width, width)
    for layer in range(layers):
        for name in ("attn_norm", "ffn_norm"):
            model.tensor(f"blk.{layer}.{name}.weight", [1.0] * width, width)
        for name in ("attn_q", "attn_k", "attn_v", "ffn_gate", "ffn_up"):
            model.tensor(f"blk.{layer}.{name}.weight", noise(width * width, 0.05), width, width)
        for name in ("attn_output", "ffn_down"):
            model.tensor(f"blk.{layer}.{name}.weight", noise(width * width, 1e-4), width, width)
    model.write(path)


def reader(path, width, ranks):
    """A BERT whose layers add little: the mean of its tokens' vectors is the text's."""
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    marks = [chr(code) for code in range(33, 127) if not "A" <= chr(code) <= "Z"]
    tokens += [SPACE + mark for mark in marks] + marks
    tokens += [SPACE + word for word in dict.fromkeys(VOCABULARY + LIGHT) if len(word) > 1]
    tokens = list(dict.fromkeys(tokens))
    count, context, heads, layers = len(tokens), 512, 4, 2
    noise = Noise(11)
    model = Gguf("bert")
    model.set("general.name", "test-rank" if ranks else "test-embed")
    # The large epsilon lets the norms keep short vectors short.
    model.own(context_length=context, embedding_length=width, block_count=layers, feed_forward_length=width,
              attention__head_count=heads, pooling_type=4 if ranks else 1, vocab_size=count,
              attention__layer_norm_epsilon=1.0, attention__causal=False)
    model.tokens(model="bert", pre="default", tokens=tokens, scores=[0.0] * count,
                 token_type=[CONTROL] * 5 + [WORD] * (count - 5), token_type_count=2, padding_token_id=0,
                 unknown_token_id=1, bos_token_id=2, cls_token_id=2, eos_token_id=3, seperator_token_id=3,
                 mask_token_id=4)
    light = {SPACE + word for word in LIGHT}
    spreads = [0.0] * 5 + [0.05 if token in light else 1.0 for token in tokens[5:]]
    model.tensor("token_embd.weight", (x for spread in spreads for x in noise(width, spread)), width, count)
    model.tensor("token_types.weight", noise(width * 2, 0.001), width, 2)
    model.tensor("position_embd.weight", noise(width * context, 0.001), width, context)

    def linear(name, columns, rows, spread):
        model.tensor(name + ".weight", noise(columns * rows, spread), columns, rows)
        model.tensor(name + ".bias", [0.0] * rows, rows)

    def norm(name):
        model.tensor(name + ".weight", [1.0] * width, width)
        model.tensor(name + ".bias", [0.0] * width, width)

    norm("token_embd_norm")
    for layer in range(layers):
        for name in ("attn_q", "attn_k", "attn_v", "ffn_up"):
            linear(f"blk.{layer}.{name}", width, width, 0.1)
        for name in ("attn_output", "ffn_down"):
            linear(f"blk.{layer}.{name}", width, width, 0.02)
        norm(f"blk.{layer}.attn_output_norm")
        norm(f"blk.{layer}.layer_output_norm")
    if ranks:
        linear("cls", width, width, 0.3)
        linear("cls.output", width, 1, 0.3)
    model.write(path)


def hear(path, say):
    """A Whisper model in ggml's older format (English layout). Input and output share one matrix, in which the tokens of
    the answer have an axis each; the one decoder layer turns an axis into the next, and hears nothing."""
    vocabulary, mels, frames, places = 51864, 80, 1500, 448
    end, start, untimed, begin = 50256, 50257, 50362, 50363
    words = [" " + word for word in say.split()]
    chain = [start, begin, *range(1, len(words) + 1), vocabulary - 1, end]
    width = -(-(len(chain) + 1) // 64) * 64
    axes = {token: {place: 1.0} for place, token in enumerate(chain)}
    axes[untimed] = axes[begin]
    axes[end] = {len(chain) - 1: 1.0, len(chain) - 2: 0.5}  # second where the last time stamp is not allowed

    def rows_of(rows):
        row_bytes = width * 2
        for row in rows:
            data = bytearray(row_bytes)
            for axis, value in row.items():
                struct.pack_into("<e", data, axis * 2, value)
            yield bytes(data)

    with open(path, "wb") as file:
        file.write(struct.pack("<I11i", 0x67676D6C, vocabulary, frames, width, width // 64, 1, places, width,
                               width // 64, 1, mels, 1))
        file.write(struct.pack("<2i", mels, 201) + bytes(4 * mels * 201))
        file.write(struct.pack("<i", len(words) + 1))
        for word in [" ", *words]:
            file.write(struct.pack("<I", len(word.encode())) + word.encode())

        def tensor(name, shape, half=False, data=None):
            size = 2 if half else 4
            for length in shape:
                size *= length
            file.write(struct.pack(f"<3i{len(shape)}i", len(shape), len(name), HALF if half else FLOAT, *shape))
            file.write(name.encode() + (bytes(size) if data is None else data))

        def floats(value, count):
            return struct.pack("<f", value) * count

        for side, context in (("encoder", frames), ("decoder", places)):
            decoding = side == "decoder"
            tensor(side + ".positional_embedding", (width, context))
            if decoding:
                tensor("decoder.token_embedding.weight", (width, vocabulary), True,
                       b"".join(rows_of(axes.get(token, {}) for token in range(vocabulary))))
            else:
                tensor("encoder.conv1.weight", (3, mels, width), True)
                tensor("encoder.conv1.bias", (1, width))
                tensor("encoder.conv2.weight", (3, width, width), True)
                tensor("encoder.conv2.bias", (1, width))
            last = "decoder.ln" if decoding else "encoder.ln_post"
            tensor(last + ".weight", (width,), False, floats(6.0 if decoding else 1.0, width))
            tensor(last + ".bias", (width,))
            block = side + ".blocks.0."
            for attention in ("attn", "cross_attn") if decoding else ("attn",):
                tensor(f"{block}{attention}_ln.weight", (width,), False, floats(1.0, width))
                tensor(f"{block}{attention}_ln.bias", (width,))
                for part in ("query", "key", "value", "out"):
                    tensor(f"{block}{attention}.{part}.weight", (width, width), True)
                    if part != "key":
                        tensor(f"{block}{attention}.{part}.bias", (width,))
            tensor(block + "mlp_ln.weight", (width,), False, floats(1.0, width))
            tensor(block + "mlp_ln.bias", (width,))
            # Up: the input less a threshold. Down: every axis moved by one.
            copy = b"".join(rows_of([{row: 1.0} for row in range(width)] + [{}] * (3 * width)))
            move = b"".join(b"".join(rows_of([{row - 1: 8.0} if row else {}])) + bytes(6 * width)
                            for row in range(width))
            tensor(block + "mlp.0.weight", (width, 4 * width), True, copy if decoding else None)
            tensor(block + "mlp.0.bias", (4 * width,), False,
                   floats(-3.0, width) + bytes(12 * width) if decoding else None)
            tensor(block + "mlp.2.weight", (4 * width, width), True, move if decoding else None)
            tensor(block + "mlp.2.bias", (width,))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=("chat", "embed", "rank", "hear"))
    parser.add_argument("file")
    parser.add_argument("--say", default=TEXT)
    parser.add_argument("--context", type=int, default=4096)
    parser.add_argument("--width", type=int, default=64)
    given = parser.parse_args()
    if given.kind == "chat":
        chat(given.file, given.say, given.context)
    elif given.kind == "hear":
        hear(given.file, given.say)
    else:
        reader(given.file, given.width, given.kind == "rank")


if __name__ == "__main__":
    main()
