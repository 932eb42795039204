/** Hellos that OpenSSL's client writes (through Node), taken apart and put together again with something changed. For fuzzing servers. */
import { Duplex } from "node:stream";
import { connect, type ConnectionOptions } from "node:tls";
import fc from "fast-check";
import { number, prefixed, render, type Node } from "../support/structure.ts";
import { shownNames } from "./hello.arbitrary.ts";
import { ascii, bytes, type Extension } from "./hello.ts";

/** The first flight of a client with these options: one record, without a network. */
export function realHello(options: ConnectionOptions): Promise<Uint8Array<ArrayBuffer>> {
  return new Promise((resolve, reject) => {
    const wire = new Duplex({
      read() {},
      write(chunk: Buffer, _encoding, done) {
        resolve(Uint8Array.from(chunk));
        done();
        queueMicrotask(() => socket.destroy());
      },
    });
    const socket = connect({ socket: wire, rejectUnauthorized: false, ...options });
    socket.on("error", reject);
  });
}

interface Taken {
  /** Version to compression methods. */
  head: Uint8Array;
  extensions: Extension[];
}

/** A real hello's parts; trusts it. */
function takeApart(record: Uint8Array): Taken {
  const view = Buffer.from(record);
  let at = 5 + 4 + 34;
  at += 1 + view[at]!;
  at += 2 + view.readUInt16BE(at);
  at += 1 + view[at]!;
  const head = record.subarray(9, at);
  const extensions: Extension[] = [];
  for (at += 2; at < view.length;) {
    const size = view.readUInt16BE(at + 2);
    extensions.push([view.readUInt16BE(at), record.subarray(at + 4, at + 4 + size)]);
    at += 4 + size;
  }
  return { head, extensions };
}

const nameEntry = fc
  .tuple(fc.constantFrom(0, 0, 0, 0, 0, 1), shownNames)
  .map(([type, name]): Node => [bytes(type), prefixed(2, ascii(name))]);
const nameList = fc
  .oneof({ weight: 5, arbitrary: fc.tuple(nameEntry) }, fc.array(nameEntry, { maxLength: 2 }))
  .map((entries): Node => prefixed(2, ...entries));

const damage = fc.option(
  fc.record({ at: fc.nat(60), delta: fc.oneof(fc.constantFrom(-1, 1, -2, 2), fc.integer({ min: -40, max: 40 })) }),
  { freq: 2 },
);

const change = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("name" as const), list: nameList }) },
  fc.record({ kind: fc.constant("second name" as const), list: nameList, at: fc.nat(40) }),
  fc.record({ kind: fc.constant("drop" as const), at: fc.nat(40) }),
  fc.record({ kind: fc.constant("move" as const), at: fc.nat(40), to: fc.nat(40) }),
  fc.record({ kind: fc.constant("repeat" as const), at: fc.nat(40) }),
  fc.record({
    kind: fc.constant("add" as const),
    at: fc.nat(40),
    type: fc.oneof(fc.constantFrom(21, 41, 42, 0xfe0d, 0xffce, 0x0a0a, 0x3374, 28, 1, 15), fc.nat(0xffff)),
    data: fc.uint8Array({ maxLength: 30 }),
  }),
);

const recordType = fc.oneof(fc.constantFrom(20, 21, 22, 23, 24), fc.nat(255));

/** Changes of a hello, as records; most of them are such that a server may still take it. */
export function changedHellos(real: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  return fc
    .record({
      hello: fc.constantFrom(...real.map(takeApart)),
      changes: fc.array(change, { maxLength: 3 }),
      version: fc.option(fc.constantFrom(0x0304, 0x0301, 0x0300, 0x0302, 0x03ff, 0x0203, 0x0400), { freq: 5 }),
      damage,
      cuts: fc.array(fc.nat(0xffff), { maxLength: 3 }),
      cutEarly: fc.boolean(),
      between: fc.constantFrom("nothing", "nothing", "nothing", "nothing", "empty", "ccs", "alert"),
      recordVersion: fc.constantFrom(1, 1, 3, 0, 4, 255),
      before: fc.option(
        fc.tuple(
          recordType,
          fc.oneof(fc.constantFrom(bytes(), bytes(1), bytes(1, 90)), fc.uint8Array({ maxLength: 5 })),
        ),
        {
          freq: 3,
        },
      ),
      after: fc.constantFrom("nothing", "nothing", "nothing", "data", "hello"),
    })
    .map(({ hello, changes, version, damage, cuts, cutEarly, between, recordVersion, before, after }) => {
      const extensions: (readonly [number, Node])[] = [...hello.extensions];
      for (const each of changes) {
        const size = extensions.length;
        if (each.kind === "name") {
          const at = extensions.findIndex(([type]) => type === 0);
          extensions.splice(Math.max(0, at), at < 0 ? 0 : 1, [0, each.list]);
        } else if (each.kind === "second name") extensions.splice(each.at % (size + 1), 0, [0, each.list]);
        else if (each.kind === "add") extensions.splice(each.at % (size + 1), 0, [each.type, each.data]);
        else if (size === 0) continue;
        else if (each.kind === "drop") extensions.splice(each.at % size, 1);
        else if (each.kind === "repeat") extensions.push(extensions[each.at % size]!);
        else extensions.splice(each.to % size, 0, ...extensions.splice(each.at % size, 1));
      }
      const head = Uint8Array.from(hello.head);
      if (version !== null) head.set([version >> 8, version & 255]);
      const block = prefixed(2, ...extensions.map(([type, data]): Node => [number(2, type), prefixed(2, data)]));
      const message = render([bytes(1), prefixed(3, head, block)], damage);
      const places = cuts.map((cut) => cut % (cutEarly ? 8 : message.length + 1)).toSorted((a, b) => a - b);
      const edges = [0, ...places, message.length];
      const record = (type: number, data: Uint8Array) => render([bytes(type, 3, recordVersion), prefixed(2, data)]);
      const inserted = {
        nothing: bytes(),
        empty: record(22, bytes()),
        ccs: record(20, bytes(1)),
        alert: record(21, bytes(1, 90)),
      }[between];
      const records = edges
        .slice(1)
        .flatMap((to, i) => [...(i > 0 ? [inserted] : []), record(22, message.subarray(edges[i], to))]);
      const rest = { nothing: bytes(), data: record(23, bytes(1, 2)), hello: record(22, message) }[after];
      return bytes(before === null ? [] : record(...before), ...records, rest);
    });
}
