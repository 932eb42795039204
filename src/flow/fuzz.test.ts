/** TCP options under fuzz: the walk ends inside the header, and a signed or broken list is never taken for a clean one. */
import assert from "node:assert/strict";
import { fuzzTarget } from "../../test/support/fuzz.ts";
import { assertLinear } from "../../test/support/work.ts";
import { optionPackets } from "../../test/wire/packet.arbitrary.ts";
import { Packet, parsePacket } from "../wire/ip/packet.ts";
import { BROKEN, couldMiss, MULTIPATH, SIGNED, tcpOptions } from "./insertion.ts";

type Word = "not_tcp" | "clean" | "multipath" | "signed" | "broken";

/** The kinds in the list, slowly: null where it is broken before its end. */
function kindsOf(options: Uint8Array): { kinds: number[]; broken: boolean } {
  const kinds: number[] = [];
  let rest = [...options];
  while (rest.length > 0 && rest[0] !== 0) {
    const [kind, length] = rest;
    if (kind === 1) rest = rest.slice(1);
    else {
      if (length === undefined || length < 2 || length > rest.length) return { kinds, broken: true };
      kinds.push(kind!);
      rest = rest.slice(length);
    }
  }
  return { kinds, broken: false };
}

fuzzTarget<Word>({
  name: "tcp-options",
  grammar: [optionPackets],
  outcomes: { not_tcp: true, clean: true, multipath: true, signed: true, broken: true },
  check: (bytes) => {
    const packet = new Packet();
    parsePacket(bytes, 0, bytes.length, packet);
    if (packet.defect !== null || packet.transport !== "tcp") return "not_tcp";
    const found = tcpOptions(bytes, packet);
    const options = bytes.subarray(packet.transportOffset + 20, packet.payloadOffset);
    const { kinds, broken } = kindsOf(options);
    const expected =
      (kinds.includes(30) ? MULTIPATH : 0) |
      (kinds.some((kind) => kind === 19 || kind === 29) ? SIGNED : 0) |
      (broken ? BROKEN : 0);
    assert.equal(found, expected);
    if ((found & (SIGNED | BROKEN)) !== 0) assert.ok(couldMiss(bytes, 0, packet));
    assertLinear(bytes, 0, 90, (view) => tcpOptions(view, packet));
    if ((found & BROKEN) !== 0) return "broken";
    return (found & SIGNED) !== 0 ? "signed" : (found & MULTIPATH) !== 0 ? "multipath" : "clean";
  },
});
