/**
 * A pcap stream (the classic format, host byte order, microseconds) cut into packets as bytes arrive from `tcpdump -w -`.
 * https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-04.html
 */
const globalHeader = 24;
const recordHeader = 16;

export class PcapReader {
  #pending: Buffer = Buffer.alloc(0);
  #linkType: number | undefined;

  /** The link type once the stream's header has arrived. */
  get linkType(): number | undefined {
    return this.#linkType;
  }

  /** The packets completed by these bytes. Throws on a stream that is not pcap. */
  *feed(chunk: Buffer): Generator<Buffer> {
    let bytes = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    if (this.#linkType === undefined && bytes.length >= globalHeader) {
      if (bytes.readUInt32LE(0) !== 0xa1b2c3d4) throw new Error("the capture is not a little-endian pcap stream");
      this.#linkType = bytes.readUInt32LE(20) & 0xffff;
      bytes = bytes.subarray(globalHeader);
    }
    if (this.#linkType !== undefined) {
      while (bytes.length >= recordHeader) {
        const end = recordHeader + bytes.readUInt32LE(8);
        if (bytes.length < end) break;
        yield bytes.subarray(recordHeader, end);
        bytes = bytes.subarray(end);
      }
    }
    this.#pending = bytes;
  }
}
