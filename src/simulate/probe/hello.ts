/** ClientHellos and QUIC Initials made by hand, for what no TLS library sends: an address as SNI, ECH, a hello in pieces. */
import { createCipheriv, randomBytes } from "node:crypto";
import { deriveClientKeys } from "../../wire/quic/keys.ts";

export interface HelloParts {
  /** Null: no server_name extension. */
  sni: string | null;
  /** In the session id and as an extension of a private number: where a server would not look, and a sink does. */
  canary: string;
  /** The payload of an encrypted_client_hello extension (outer), null: none. */
  ech?: string | null;
}

const u16 = (value: number) => Buffer.from([value >> 8, value & 255]);
const vector = (data: Buffer) => Buffer.concat([u16(data.length), data]);
const extension = (type: number, data: Buffer) => Buffer.concat([u16(type), vector(data)]);

/** A handshake message of type ClientHello (RFC 8446 section 4.1.2) that servers take for TLS 1.3 and 1.2. */
export function clientHello({ sni, canary, ech = null }: HelloParts): Buffer {
  const name = sni === null ? [] : [serverName(sni)];
  const key = Buffer.concat([u16(29), vector(randomBytes(32))]);
  const extensions = [
    ...name,
    extension(10, vector(u16(29))),
    extension(13, vector(Buffer.concat([u16(0x0403), u16(0x0804)]))),
    extension(16, vector(Buffer.concat([Buffer.from([8]), Buffer.from("http/1.1")]))),
    extension(43, Buffer.from([2, 3, 4])),
    extension(51, vector(key)),
    ...(ech === null ? [] : [outerEch(ech)]),
    extension(0xfdca, Buffer.from(canary)),
  ];
  const body = Buffer.concat([
    u16(0x0303),
    randomBytes(32),
    Buffer.from([0]),
    vector(Buffer.concat([u16(0x1301), u16(0xc02b)])),
    Buffer.from([1, 0]),
    vector(Buffer.concat(extensions)),
  ]);
  return Buffer.concat([Buffer.from([1, 0]), u16(body.length), body]);
}

function serverName(name: string): Buffer {
  return extension(0, vector(Buffer.concat([Buffer.from([0]), vector(Buffer.from(name))])));
}

/** ECHClientHello of type outer: cipher suite, config id, encapsulated key, payload. */
function outerEch(payload: string): Buffer {
  const suite = Buffer.from([0, 0, 1, 0, 1, 42]);
  return extension(0xfe0d, Buffer.concat([suite, vector(randomBytes(32)), vector(Buffer.from(payload.repeat(4)))]));
}

/** In one TLS record. */
export function helloRecord(parts: HelloParts): Buffer {
  const hello = clientHello(parts);
  return Buffer.concat([Buffer.from([22, 3, 1]), vector(hello)]);
}

/** A client's first datagram of QUIC version 1 (RFC 9001 section 5), 1200 bytes. */
export function quicInitial(parts: HelloParts): Buffer {
  const hello = clientHello(parts);
  const frames = Buffer.concat([Buffer.from([6, 0, 0x40 | (hello.length >> 8), hello.length & 255]), hello]);
  const dcid = randomBytes(8);
  const keys = deriveClientKeys(1, dcid);
  const bare = 1 + 4 + 1 + 8 + 1 + 1 + 2 + 4;
  const body = Buffer.concat([frames, Buffer.alloc(1200 - bare - 16 - frames.length)]);
  const size = 4 + body.length + 16;
  const header = Buffer.concat([
    Buffer.from([0xc3, 0, 0, 0, 1, 8]),
    dcid,
    Buffer.from([0, 0, 0x40 | (size >> 8), size & 255, 0, 0, 0, 0]),
  ]);
  const gcm = createCipheriv("aes-128-gcm", keys.key, keys.iv);
  gcm.setAAD(header);
  const sealed = Buffer.concat([gcm.update(body), gcm.final(), gcm.getAuthTag()]);
  const mask = createCipheriv("aes-128-ecb", keys.hp, null).update(sealed.subarray(0, 16));
  header[0] = header[0]! ^ (mask[0]! & 0x0f);
  for (let i = 0; i < 4; i++) header[header.length - 4 + i] = header[header.length - 4 + i]! ^ mask[1 + i]!;
  return Buffer.concat([header, sealed]);
}
