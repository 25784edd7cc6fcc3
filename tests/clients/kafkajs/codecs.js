// kafkajs brings gzip alone; the other three codecs are plugged in the way its manual describes.
const { CompressionCodecs, CompressionTypes } = require("kafkajs");
const lz4 = require("lz4js");
const xxh32 = require("lz4js/xxh32");
const snappy = require("kafkajs-snappy");
const zstd = require("@bokuweb/zstd-wasm");

const ready = zstd.init();

/** lz4js writes one block here but does not declare its blocks independent, which Kafka insists on. */
function independent(frame) {
  frame[4] |= 0x20;
  frame[6] = xxh32.hash(0, frame, 4, 2) >> 8;
  return frame;
}

CompressionCodecs[CompressionTypes.Snappy] = snappy;
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async (encoder) => independent(Buffer.from(lz4.compress(encoder.buffer))),
  decompress: async (buffer) => Buffer.from(lz4.decompress(buffer)),
});
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => ready.then(() => Buffer.from(zstd.compress(encoder.buffer, 3))),
  decompress: async (buffer) => ready.then(() => Buffer.from(zstd.decompress(buffer, { defaultHeapSize: 1 << 20 }))),
});

module.exports = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
};
