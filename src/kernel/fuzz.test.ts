/**
 * The kernel's messages under fuzz. They are the kernel's own, but the packets, names and marks in them are anybody's, and a
 * privileged process may send what it likes: reading ends, stays within the bytes and does not throw.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { asBytes, fuzzTarget, textOf } from "../../test/support/fuzz.ts";
import { assertGrowsLinearly } from "../../test/support/work.ts";
import { offsetsInBtf } from "./btf.ts";
import { readDiagSocket } from "./diag-message.ts";
import { readFanotify } from "./fanotify.ts";
import { AttributeCursor, MessageCursor, NFGEN_HEADER, NLMSG_DONE, NLMSG_ERROR, NLMSG_HEADER } from "./netlink.ts";
import { FIELD, FIELDS, MSG_PACKET, PacketMessages, type Kind } from "./packet-message.ts";
import { readProcEvent } from "./proc-event.ts";
import { readChain, readRule } from "./nf-tables-read.ts";
import { findMount } from "./own-cgroup.ts";
import { parseQueueStatistics } from "./queue-statistics.ts";
import { parseRawSockets } from "./raw-sockets.ts";
import { parseReassemblyFailures } from "./reassembly.ts";
import { parseSaved } from "./ruleset.ts";
import { parseUdpDrops } from "./socket-drops.ts";
import { readDefaultRoute, readLink, readLinkAddress } from "./route-netlink.ts";
import { readSocket } from "./socket-table.ts";
import { readFlow } from "./tuple.ts";
import { readAccepted } from "./unix-diag.ts";

/** Attributes as trees: a type, and bytes or attributes. */
type Attribute = readonly [type: number, value: Uint8Array | readonly Attribute[]];

function render(attributes: readonly Attribute[], damage: number): Buffer {
  return Buffer.concat(
    attributes.map(([type, value], i) => {
      const body = value instanceof Uint8Array ? value : render(value, damage >> 2);
      const out = Buffer.alloc((body.length + 7) & ~3);
      const off = damage !== 0 && i === (damage >> 4) % attributes.length ? (damage % 5) - 2 : 0;
      out.writeUInt16LE(Math.max(0, body.length + 4 + off), 0);
      out.writeUInt16LE(value instanceof Uint8Array ? type : type | 0x8000, 2);
      out.set(body, 4);
      return out;
    }),
  );
}

const raw = (minLength: number, maxLength: number) => fc.uint8Array({ minLength, maxLength });
const tuple = (family: 4 | 6) =>
  fc
    .record({
      addresses:
        family === 4
          ? fc.constantFrom([1, 2, 4], [1, 2, 4], [1, 4, 4])
          : fc.constantFrom([3, 4, 16], [3, 4, 16], [3, 4, 15]),
      bytes: raw(32, 32),
      protocol: fc.constantFrom(6, 17, 1, 58, 132),
      ports: raw(8, 8),
    })
    .map(({ addresses: [from, to, size], bytes, protocol, ports }): readonly Attribute[] => [
      [
        1,
        [
          [from, bytes.subarray(0, size)],
          [to, bytes.subarray(16, 16 + size)],
        ],
      ],
      [
        2,
        [
          [1, Uint8Array.of(protocol)],
          ...(protocol === 1 || protocol === 58
            ? ([
                [4, ports.subarray(0, 2)],
                [5, ports.subarray(2, 3)],
                [6, ports.subarray(3, 4)],
              ] as const)
            : ([
                [2, ports.subarray(0, 2)],
                [3, ports.subarray(2, 4)],
              ] as const)),
        ],
      ],
    ]);

const families = fc.constantFrom<readonly [4 | 6, 4 | 6]>([4, 4], [4, 4], [6, 6], [6, 6], [4, 6]);

const flowAttributes = families.chain(([one, other]) =>
  fc
    .tuple(
      fc.option(
        tuple(one).map((each) => [1, each] as const),
        { freq: 12 },
      ),
      fc.option(
        tuple(other).map((each) => [2, each] as const),
        { freq: 12 },
      ),
      fc.array(
        fc.oneof(
          fc.tuple(fc.constantFrom(3, 7, 8, 12, 18), raw(0, 6)),
          fc.tuple(
            fc.constantFrom(9, 10),
            fc.tuple(raw(8, 8), raw(8, 8)).map((both) => both.map((each, i) => [i + 1, each] as const)),
          ),
          raw(0, 2).map((state) => [4, [[1, [[1, state]]]]] as const),
          fc.tuple(fc.nat(40), raw(0, 12)),
        ),
        { maxLength: 6 },
      ),
    )
    .map(
      ([original, reply, rest]) =>
        [...(original === null ? [] : [original]), ...(reply === null ? [] : [reply]), ...rest] as Attribute[],
    ),
);

const packetAttributes = fc
  .tuple(
    fc.option(
      raw(7, 7).map((each) => [1, each] as const),
      { freq: 12 },
    ),
    fc.array(
      fc.oneof(
        fc.tuple(fc.constantFrom(3, 5, 6, 13), raw(3, 5)),
        raw(0, 60).map((each) => [10, each] as const),
        fc.tuple(fc.nat(30), raw(0, 9)),
      ),
      {
        maxLength: 6,
      },
    ),
  )
  .map(([header, rest]) => [...(header === null ? [] : [header]), ...rest] as Attribute[]);

const noDamage = fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, fc.nat(0xffff));

const message = (type: fc.Arbitrary<number>, attributes: fc.Arbitrary<Attribute[]>) =>
  fc
    .tuple(type, attributes, noDamage, fc.constantFrom(0, 0, 0, 0, -1, 1, -16, 4), raw(4, 4))
    .map(([code, list, damage, off, nfgen]) => {
      const body = render(list, damage);
      const bytes = Buffer.alloc(NFGEN_HEADER + body.length);
      bytes.writeUInt32LE(Math.max(0, bytes.length + off), 0);
      bytes.writeUInt16LE(code, 4);
      bytes.set(code === MSG_PACKET ? [2, 0, 0, 7] : nfgen, 16);
      bytes.set(body, NFGEN_HEADER);
      return Uint8Array.from(bytes);
    });

/** Chains and rules of nf_tables: names, a hook, and expressions with a name and data, counters among them. */
const word8 = fc.constantFrom("counter\0", "cmp", "meta\0\0", "").map((text) => Uint8Array.from(Buffer.from(text)));
const ruleAttributes = fc.array(
  fc.oneof(
    fc.tuple(fc.constantFrom(1, 2, 3), word8),
    fc.tuple(fc.constantFrom(4, 5, 7), raw(0, 12)),
    fc
      .array(
        fc.tuple(word8, raw(0, 10)).map(([name, data]): Attribute => {
          return [
            1,
            [
              [1, name],
              [
                2,
                name.length === 8
                  ? [
                      [1, data],
                      [2, data],
                    ]
                  : data,
              ],
            ],
          ];
        }),
        { maxLength: 3 },
      )
      .map((elements): Attribute => [4, elements]),
  ),
  { maxLength: 5 },
) as fc.Arbitrary<Attribute[]>;

const flowMessages = fc
  .array(
    message(
      fc.constantFrom(0x100, 0x102, NLMSG_ERROR, NLMSG_DONE),
      fc.oneof({ weight: 3, arbitrary: flowAttributes }, ruleAttributes),
    ),
    { minLength: 1, maxLength: 3 },
  )
  .map((list) => Uint8Array.from(Buffer.concat(list)));

const SOCK_DIAG_BY_FAMILY = 20;

/** A netlink message of this type around a body, its length off by a little now and then. */
const plainMessage = (type: number, body: fc.Arbitrary<Uint8Array>) =>
  fc.tuple(body, fc.constantFrom(0, 0, 0, 0, -1, 4, -16)).map(([content, off]) => {
    const bytes = Buffer.alloc(NLMSG_HEADER + content.length);
    bytes.writeUInt32LE(Math.max(0, bytes.length + off), 0);
    bytes.writeUInt16LE(type, 4);
    bytes.set(content, NLMSG_HEADER);
    return Uint8Array.from(bytes);
  });

const processEvents = plainMessage(
  NLMSG_DONE,
  fc
    .tuple(fc.constantFrom(1, 1, 1, 2), fc.constantFrom(0, 1, 2, 4, 0x40, 0x200, 0x80000000), raw(12, 12), raw(0, 40))
    .map(([id, what, origin, body]) => {
      const bytes = Buffer.alloc(36 + body.length);
      bytes.writeUInt32LE(id, 0);
      bytes.writeUInt32LE(1, 4);
      bytes.writeUInt32LE(what, 20);
      bytes.set(origin, 24);
      bytes.set(body, 36);
      return bytes;
    }),
);

const socketAnswers = plainMessage(
  SOCK_DIAG_BY_FAMILY,
  fc
    .tuple(
      fc.constantFrom(2, 10, 10, 1),
      raw(71, 71),
      fc.array(fc.tuple(fc.constantFrom(21, 15), raw(0, 9)), { maxLength: 2 }),
    )
    .map(([family, body, attributes]) => Buffer.concat([Uint8Array.of(family), body, render(attributes, 0)])),
);

type KernelMessage = "flow" | "no_flow" | "event" | "socket" | "error" | "nothing";

/** What stands where the message's header says a process event or a socket may: null where neither is. */
function otherKind(bytes: Buffer, { type, start, end }: MessageCursor): "event" | "socket" | null {
  const event = readProcEvent(bytes, start + NLMSG_HEADER, end);
  if (event !== null) {
    for (const value of Object.values(event)) {
      assert.ok(typeof value === "string" || (Number.isInteger(value) && value >= 0), `${event.kind} ${value}`);
    }
    assert.ok(end - start >= NLMSG_HEADER + 36);
  }
  const socket = readDiagSocket(bytes, start, end);
  if (socket !== null) {
    assert.ok(end - start >= NLMSG_HEADER + 72);
    assert.equal(socket.local.length, socket.family === 4 ? 4 : 16);
    assert.equal(socket.remote.length, socket.local.length);
    assert.ok(socket.localPort <= 0xffff && socket.remotePort <= 0xffff);
  }
  // Whatever else it is, read as a unix stream socket.
  const unix = Buffer.from(bytes);
  if (end - start >= NLMSG_HEADER + 2) unix.set([1, 1], start + NLMSG_HEADER);
  const accepted = readAccepted(unix, start, end);
  if (accepted !== null) {
    assert.ok(accepted.path !== "" && !accepted.path.includes("\0") && accepted.path.length <= end - start);
    assert.ok(Number.isInteger(accepted.peer) && accepted.peer >= 0 && accepted.peer <= 0xffffffff);
  }
  return type === NLMSG_DONE && event !== null
    ? "event"
    : type === SOCK_DIAG_BY_FAMILY && socket !== null
      ? "socket"
      : null;
}

/** What the kernel tells in other forms: the same bytes, as such and behind the beginning that each form has. */
function checkOthers(bytes: Buffer): void {
  const header = Buffer.alloc(24);
  header.writeUInt16LE(0xeb9f);
  [24, 0, bytes.length, 0, bytes.length].forEach((value, i) => header.writeUInt32LE(value, 4 + 4 * i));
  for (const types of [bytes, Buffer.concat([header, bytes])]) {
    for (const offset of offsetsInBtf(types, ["a.b", "task_struct.files"]).values()) assert.ok(offset >= 0);
  }
  const metadata = Buffer.alloc(24);
  metadata.writeUInt32LE(24 + bytes.length);
  metadata.writeUInt16LE(24, 6);
  for (const events of [bytes, Buffer.concat([metadata, bytes])]) {
    assert.ok(readFanotify(events).length <= events.length / 24);
  }
}

fuzzTarget<KernelMessage>({
  name: "conntrack-messages",
  grammar: [flowMessages, processEvents, socketAnswers],
  outcomes: { flow: true, no_flow: true, event: true, socket: true, error: true, nothing: true },
  check: (raw) => {
    const bytes = Buffer.from(raw);
    checkOthers(bytes);
    const cursor = new MessageCursor(bytes, bytes.length);
    let word: KernelMessage = "nothing";
    let before = -1;
    while (cursor.next()) {
      assert.ok(cursor.start > before && cursor.end <= bytes.length && cursor.end >= cursor.start + 16);
      before = cursor.start;
      assert.ok(Number.isInteger(cursor.error()));
      if (cursor.type === NLMSG_ERROR) {
        if (word === "nothing") word = "error";
        continue;
      }
      const attribute = new AttributeCursor().over(bytes, cursor.start + NFGEN_HEADER, cursor.end);
      let at = cursor.start + NFGEN_HEADER;
      while (attribute.next()) {
        assert.ok(attribute.offset >= at + 4 && attribute.offset + attribute.length <= cursor.end);
        at = attribute.offset;
      }
      const other = otherKind(bytes, cursor);
      if (word === "nothing" && other !== null) word = other;
      checkTables(bytes, cursor.start, cursor.end);
      const flow = readFlow(bytes, cursor.start + NFGEN_HEADER, cursor.end);
      if (word === "nothing") word = flow === null ? "no_flow" : "flow";
      if (flow === null) continue;
      for (const { source, destination, sourcePort, destinationPort, protocol } of [flow.original, flow.reply]) {
        assert.ok((source.length === 4 || source.length === 16) && source.length === destination.length);
        assert.ok(sourcePort <= 0xffff && destinationPort <= 0xffff, `ports ${sourcePort} ${destinationPort}`);
        assert.ok(protocol >= 0 && protocol <= 0xff, `protocol ${protocol}`);
      }
      assert.equal(flow.original.source.length, flow.reply.source.length);
    }
    return word;
  },
});

/** The same bytes as an answer of nf_tables, of rtnetlink and of the socket diagnostics. */
function checkTables(bytes: Buffer, start: number, end: number): void {
  const chain = readChain(bytes, start + NFGEN_HEADER, end);
  const rule = readRule(bytes, start + NFGEN_HEADER, end);
  for (const text of [chain.table, chain.name, rule.table, rule.chain]) assert.ok(!text.includes("\0"));
  // Hexadecimal is twice as long; a name is written once more.
  assert.ok(chain.hook.length + rule.text.length <= 8 * (end - start), "what is read is bounded by what is there");
  for (const count of rule.counts) assert.ok(Number.isFinite(count) && count >= 0);
  const link = readLink(bytes, start + NLMSG_HEADER, end);
  assert.ok(link === null || (link.name !== "" && !`${link.name}${link.kind}`.includes("\0")));
  const address = readLinkAddress(bytes, start + NLMSG_HEADER, end);
  assert.ok(address === null || address.address.length === 4 || address.address.length === 16);
  const route = readDefaultRoute(bytes, start + NLMSG_HEADER, end);
  assert.ok(route === null || route.length <= (end - start) / 8);
  const socket = readSocket(bytes, start + 16, end, 6);
  if (socket === null) return;
  assert.ok(socket.localPort <= 0xffff && socket.remotePort <= 0xffff && socket.id.length === 48);
  for (const { length } of [socket.local, socket.remote]) assert.ok(length === 4 || length === 16);
}

const messages = new PacketMessages(2);
const slot = Buffer.alloc(256 * 1024);

fuzzTarget<Kind>({
  name: "nfqueue-messages",
  grammar: [message(fc.constantFrom(MSG_PACKET, MSG_PACKET, MSG_PACKET, NLMSG_ERROR, 0x301), packetAttributes)],
  outcomes: { packet: true, error: true, malformed: true },
  check: (bytes, pick) => {
    // What stood in the slot before must not be taken for a part of the message.
    const start = 16 * pick(4);
    slot.fill(pick(2) === 0 ? 0xff : 0, 0, start + bytes.length + 64);
    slot.set(bytes, start);
    messages.table.fill(0xdeadbeef);
    const kind = messages.read(slot, start, bytes.length, 7, 1);
    if (kind !== "packet") return kind;
    const row = messages.table.subarray(FIELDS, 2 * FIELDS);
    const [offset, length] = [row[FIELD.offset]!, row[FIELD.length]!];
    if (length > 0) assert.ok(offset >= start + NFGEN_HEADER && offset + length <= start + bytes.length);
    assert.ok(
      messages.table.subarray(0, FIELDS).every((each) => each === 0xdeadbeef),
      "another row was written",
    );
    assert.ok(row[FIELD.hook]! <= 0xff);
    return kind;
  },
});

const word = fc.constantFrom(
  "*mangle",
  "*nat",
  "*filter",
  "*other",
  ":SALLYPORT-a ACCEPT [0:0]",
  ":INPUT DROP [0:0]",
  ":OUTPUT",
  "-A INPUT -j SALLYPORT-a",
  "31 24 0:26 / /sys/fs/cgroup\\040x rw shared:9 - cgroup2 cgroup2 rw",
  "31 24 0:26 /a /sys - cgroup2 cgroup2 rw",
);
const saved = fc.array(
  fc.oneof(
    word,
    fc.constantFrom("-A SALLYPORT-a -j ACCEPT", "-A INPUT -j ACCEPT", "COMMIT", "-A ", ":"),
    fc.string({ maxLength: 9 }),
  ),
  { maxLength: 9 },
);
const statistics = fc.array(
  fc.array(fc.oneof(fc.nat(99999).map(String), fc.constantFrom("x", "-1", "1e999", "")), { maxLength: 10 }),
  { maxLength: 3 },
);

const counters = fc
  .tuple(
    fc.constantFrom("Ip: ReasmTimeout ReasmFails B\nIp: 1", "Ip6ReasmTimeout 3\nIp6ReasmFails\t"),
    fc.constantFrom("0", "7", "-1", "x", "1e9", "9".repeat(30)),
  )
  .map((parts) => parts.join(" "));

const socketLines = fc.array(
  fc
    .tuple(
      fc.constantFrom(
        "0100007F:0035",
        "00000000:0035",
        "0100007F:1035",
        "00000000000000000000000001000000:0035",
        ":0035",
      ),
      fc.array(fc.constantFrom("0", "00000000:00000000", "x", "2"), { minLength: 8, maxLength: 11 }),
      fc.oneof(fc.nat(0xffff_ffff).map(String), fc.constantFrom("drops", "-1", "1e3", "0x1", "9".repeat(400))),
    )
    .map(([local, between, drops]) => ["  12:", local, ...between, drops].join(" ")),
  { maxLength: 4 },
);

fuzzTarget<"rules" | "rows" | "drops" | "count" | "nothing">({
  name: "kernel-text",
  grammar: [
    asBytes(saved.map((lines) => lines.join("\n"))),
    asBytes(statistics.map((rows) => rows.map((row) => row.join(" ")).join("\n"))),
    asBytes(counters),
    asBytes(socketLines.map((lines) => lines.join("\n"))),
  ],
  outcomes: { rules: true, rows: true, drops: true, count: true, nothing: true },
  check: (bytes) => {
    const text = textOf(bytes);
    const rows = parseQueueStatistics(text);
    for (const row of rows) for (const value of Object.values(row)) assert.ok(Number.isFinite(value));
    const tables = parseSaved(text);
    for (const { lines } of tables.values()) for (const line of lines) assert.ok(text.includes(line.split(" ")[0]!));
    const mount = findMount(text);
    if (mount !== null) assert.ok(text.includes(" - cgroup2 ") && !mount.includes(" - "));
    const count = parseReassemblyFailures(text);
    if (count !== null) for (const value of Object.values(count)) assert.ok(Number.isFinite(value) && value >= 0);
    const drops = new Map<string, number>();
    parseUdpDrops(text, 0x35, drops);
    for (const [local, count] of drops) {
      assert.ok(Number.isSafeInteger(count) && count >= 0 && local.endsWith(":0035") && text.includes(local));
    }
    for (const { number, uid, inode } of parseRawSockets(text)) {
      assert.ok(number >= 0 && number <= 0xffff && Number.isSafeInteger(uid) && Number.isSafeInteger(inode));
    }
    if (drops.size > 0) return "drops";
    return tables.size > 0 ? "rules" : rows.length > 0 ? "rows" : count !== null ? "count" : "nothing";
  },
});

test("the work on the kernel's text grows with its length", () => {
  assertGrowsLinearly(
    "rules",
    2000,
    (size) => `*filter\n${"-A INPUT -j SALLYPORT-a\n".repeat(size)}`,
    (text) => parseSaved(text),
  );
  assertGrowsLinearly(
    "a long rule",
    20_000,
    (size) => `*filter\n-A INPUT ${"-j SALLYPORT ".repeat(size)}`,
    (text) => parseSaved(text),
  );
  assertGrowsLinearly(
    "white space",
    20_000,
    (size) => `${" ".repeat(size)}x`,
    (text) => [parseQueueStatistics(text), parseUdpDrops(text, 0x35, new Map()), parseRawSockets(text)],
  );
});
