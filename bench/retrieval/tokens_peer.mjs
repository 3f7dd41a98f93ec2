// npm's tiktoken behind the same requests as tokens_runner.cc: node tokens_peer.mjs FOLDER (where it is installed).
import { createRequire } from 'node:module';
import { readSync, writeSync } from 'node:fs';

const require = createRequire(`${process.argv[2]}/package.json`);
const { Tiktoken } = require('tiktoken/lite');
const encodings = ['cl100k_base', 'o200k_base'].map((name) => {
  const data = require(`tiktoken/encoders/${name}.json`);
  return new Tiktoken(data.bpe_ranks, data.special_tokens, data.pat_str);
});

function read(size) {
  const buffer = Buffer.alloc(size);
  for (let at = 0; at < size;) {
    const got = readSync(0, buffer, at, size - at);
    if (got === 0) process.exit(0);
    at += got;
  }
  return buffer;
}

function write(buffer) {
  for (let at = 0; at < buffer.length;) at += writeSync(1, buffer, at);
}

for (;;) {
  const head = read(6);
  const operation = String.fromCharCode(head[0]);
  const text = read(head.readUInt32LE(2)).toString('utf8');
  const start = process.cpuUsage();
  const ids = encodings[head[1] - 1].encode_ordinary(text);
  const used = process.cpuUsage(start);
  if (operation === 'e') {
    const count = Buffer.alloc(4);
    count.writeUInt32LE(ids.length);
    write(Buffer.concat([count, Buffer.from(ids.buffer, ids.byteOffset, ids.byteLength)]));
  } else {
    const answer = Buffer.alloc(16);
    answer.writeDoubleLE((used.user + used.system) / 1e6);
    answer.writeBigUInt64LE(BigInt(ids.length), 8);
    write(answer);
  }
}
