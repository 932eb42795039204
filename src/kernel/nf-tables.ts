/**
 * Native chains of nf_tables, spoken by netlink, for what the iptables tools cannot say: matches on a device's kind, and the egress
 * hook of a device. A small part of the language: chains, and rules made of a few expressions. Acts on the network
 * namespace of the calling thread. Called by `machine-hooks.ts`.
 *
 * A table changes in one transaction: whoever looks finds the old one or the new one, whole.
 */
import { MessageWriter, NETLINK_NETFILTER, NetlinkSocket, NLM_F_ACK, NLM_F_REQUEST, netfilterType } from "./netlink.ts";

const SUBSYSTEM = 10;
const BATCH_BEGIN = 0x10;
const BATCH_END = 0x11;
const [NEW_TABLE, DELETE_TABLE, NEW_CHAIN, NEW_RULE] = [0, 2, 3, 6].map((message) =>
  netfilterType(SUBSYSTEM, message),
) as [number, number, number, number];
const NLM_F_CREATE = 0x400;
const NLM_F_APPEND = 0x800;

/** Families of tables (linux/netfilter.h): both IP families at once, and one device's packets. */
export const families = { inet: 1, netdev: 5 } as const;
export type Family = keyof typeof families;

/** Where a base chain hangs. `device`: for netdev only. */
export interface Hook {
  number: number;
  priority: number;
  device?: string;
}

/** linux/netfilter.h. Egress is netdev's. */
export const hooks = { prerouting: 0, forward: 2, output: 3, postrouting: 4, egress: 1 } as const;

/** Writes one expression: its name and its data. */
export type Expression = (writer: MessageWriter) => void;

export interface Chain {
  name: string;
  /** Absent: a chain to jump to. */
  hook?: Hook;
  rules: readonly (readonly Expression[])[];
}

export interface NativeTable {
  family: Family;
  name: string;
  chains: readonly Chain[];
}

const REGISTER = 1;
const META = {
  length: 0,
  protocol: 1,
  mark: 3,
  iifname: 6,
  oifname: 7,
  l4proto: 16,
  uid: 10,
  iifkind: 26,
  oifkind: 27,
} as const;
const NAME_SIZE = 16;

function expression(name: string, data: (writer: MessageWriter) => void): Expression {
  return (writer) => {
    writer.nest(1, () => {
      writer.text(1, name);
      writer.nest(2, () => data(writer));
    });
  };
}

const load = (key: number) => expression("meta", (writer) => writer.u32(1, REGISTER).u32(2, key));

/** Compares the register with these bytes: `equal`, `unequal` or, for big-endian numbers, `atMost`. */
const compare = (bytes: Uint8Array, how: "equal" | "unequal" | "atMost" = "equal") =>
  expression("cmp", (writer) => {
    writer.u32(1, REGISTER).u32(2, { equal: 0, unequal: 1, atMost: 3 }[how]);
    writer.nest(3, () => writer.attribute(1, bytes));
  });

/** The register's first `mask.length` bytes become `(register & mask) ^ xor`. */
const bitwise = (mask: Uint8Array, xor: Uint8Array) =>
  expression("bitwise", (writer) => {
    writer.u32(1, REGISTER).u32(2, REGISTER).u32(3, mask.length);
    writer.nest(4, () => writer.attribute(1, mask)).nest(5, () => writer.attribute(1, xor));
  });

/** Marks are in the byte order of the host (little endian, see `libc.ts`). */
function hostOrder(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

function deviceName(name: string): Buffer {
  const bytes = Buffer.alloc(NAME_SIZE);
  bytes.write(name, 0, NAME_SIZE - 1, "latin1");
  return bytes;
}

const by = (key: number) => (name: string) => [load(key), compare(deviceName(name))];

export const match = {
  iifname: by(META.iifname),
  oifname: by(META.oifname),
  /** The kind of the device, as `ip -d link` names it. A device without one (a network card, the loopback) matches none. */
  iifkind: by(META.iifkind),
  oifkind: by(META.oifkind),
  /** IP protocol number. */
  protocol: (number: number) => [load(META.l4proto), compare(Buffer.of(number))],
  /** A process sent it: a socket with a file behind it. */
  ofProcess: [load(META.uid)],
  mark: (value: number, mask = 0xffffffff) => [
    load(META.mark),
    ...(mask === 0xffffffff ? [] : [bitwise(hostOrder(mask), hostOrder(0))]),
    compare(hostOrder(value)),
  ],
  /** Bytes from the start of the link layer's header. */
  link: (offset: number, bytes: Uint8Array, mask?: Uint8Array) => [
    expression("payload", (writer) => writer.u32(1, REGISTER).u32(2, 0).u32(3, offset).u32(4, bytes.length)),
    ...(mask === undefined ? [] : [bitwise(mask, Buffer.alloc(mask.length))]),
    compare(bytes),
  ],
  /** Bytes of the packet, headers of the link included, at most. */
  atMost: (length: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(length);
    const toBigEndian = expression("byteorder", (writer) =>
      writer.u32(1, REGISTER).u32(2, REGISTER).u32(3, 1).u32(4, 4).u32(5, 4),
    );
    return [load(META.length), toBigEndian, compare(bytes, "atMost")];
  },
  /** Not more than this, with so many at once. */
  limit: (perMinute: number, burst: number) => [
    expression("limit", (writer) => {
      writer.attribute(1, bigEndian64(perMinute)).attribute(2, bigEndian64(60));
      writer.u32(3, burst).u32(4, 0).u32(5, 0);
    }),
  ],
} as const;

function bigEndian64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

const verdict = (code: number, chain?: string) =>
  expression("immediate", (writer) => {
    writer.u32(1, 0);
    writer.nest(2, () =>
      writer.nest(2, () => {
        writer.u32(1, code);
        if (chain !== undefined) writer.text(2, chain);
      }),
    );
  });

export const act = {
  accept: verdict(1),
  drop: verdict(0),
  /** Without coming back. */
  goto: (chain: string) => verdict(-4, chain),
  count: expression("counter", (writer) => writer.attribute(1, bigEndian64(0)).attribute(2, bigEndian64(0))),
  /** The bits of `mask` become those of `value`. */
  setMark: (value: number, mask = 0xffffffff) =>
    mask === 0xffffffff
      ? [
          expression("immediate", (writer) => {
            writer.u32(1, REGISTER);
            writer.nest(2, () => writer.attribute(1, hostOrder(value)));
          }),
          expression("meta", (writer) => writer.u32(2, META.mark).u32(3, REGISTER)),
        ]
      : [
          load(META.mark),
          bitwise(hostOrder(~mask), hostOrder(value & mask)),
          expression("meta", (writer) => writer.u32(2, META.mark).u32(3, REGISTER)),
        ],
} as const;

/** Makes each table what is said here, all in one transaction. Throws KernelError; nothing is changed then. */
export function replaceTables(tables: readonly NativeTable[]): void {
  transact((writer, sequence) => {
    for (const { family, name, chains } of tables) {
      const protocol = families[family];
      const begin = (type: number, flags = 0) => writer.begin(type, NLM_F_REQUEST | flags, sequence(), protocol);
      // Making it first lets the removal succeed where there was none.
      begin(NEW_TABLE, NLM_F_CREATE).text(1, name).end();
      begin(DELETE_TABLE).text(1, name).end();
      begin(NEW_TABLE, NLM_F_CREATE).text(1, name).end();
      for (const { name: chain, hook } of chains) {
        begin(NEW_CHAIN, NLM_F_CREATE).text(1, name).text(3, chain);
        if (hook !== undefined) writeHook(writer, hook);
        writer.end();
      }
      for (const { name: chain, rules } of chains) {
        for (const rule of rules) {
          begin(NEW_RULE, NLM_F_CREATE | NLM_F_APPEND)
            .text(1, name)
            .text(2, chain);
          writer.nest(4, () => {
            for (const write of rule) write(writer);
          });
          writer.end();
        }
      }
    }
  });
}

/** Takes tables away with all that is in them; those that are not there are no error. Throws KernelError. */
export function removeTables(tables: readonly Pick<NativeTable, "family" | "name">[]): void {
  transact((writer, sequence) => {
    for (const { family, name } of tables) {
      for (const [type, flags] of [
        [NEW_TABLE, NLM_F_CREATE],
        [DELETE_TABLE, 0],
      ] as const) {
        writer
          .begin(type, NLM_F_REQUEST | flags, sequence(), families[family])
          .text(1, name)
          .end();
      }
    }
  });
}

function writeHook(writer: MessageWriter, { number, priority, device }: Hook): void {
  writer.nest(4, () => {
    writer.u32(1, number).u32(2, priority);
    if (device !== undefined) writer.text(3, device);
  });
  writer.text(7, "filter");
}

/** Room for some hundreds of rules. */
const BATCH_SIZE = 128 * 1024;

function transact(fill: (writer: MessageWriter, sequence: () => number) => void): void {
  const socket = new NetlinkSocket(NETLINK_NETFILTER);
  try {
    const writer = new MessageWriter(BATCH_SIZE);
    writer.begin(BATCH_BEGIN, NLM_F_REQUEST, 0, 0, SUBSYSTEM).end();
    const sequence = socket.sequence();
    fill(writer, () => sequence);
    // One message asks for an acknowledgement; of failures the kernel tells anyway, and undoes all.
    const last = socket.sequence();
    writer.begin(NEW_TABLE, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK, sequence, families.inet);
    writer.text(1, "sallyport-batch").end();
    writer.begin(DELETE_TABLE, NLM_F_REQUEST, sequence, families.inet).text(1, "sallyport-batch").end();
    writer.begin(BATCH_END, NLM_F_REQUEST, last, 0, SUBSYSTEM).end();
    socket.request("nf_tables", writer, sequence);
  } finally {
    socket.close();
  }
}
