/**
 * The firewall's own answers: header, the question as the client spelled it, records, and OPT where the client sent one
 * (RFC 6891 section 6.1.1), with an Extended DNS Error that says why. Pure.
 */
import { encode, extendedError } from "../wire/dns/encode.ts";
import { ExtendedError, type ResourceRecord } from "../wire/dns/types.ts";
import { type Reason, reasonTexts } from "../policy/reason.ts";
import type { RuleRef } from "../policy/decision.ts";
import type { Asked } from "./query.ts";
import type { DnsTransport } from "./types.ts";
import { ednsSize } from "./upstream.ts";

/** Bytes a client without EDNS takes over UDP (RFC 1035 section 2.3.4). */
const plainUdpSize = 512;

export interface ReplyParts {
  rcode: number;
  answers?: ResourceRecord[];
  /** An Extended DNS Error: code and text. */
  extended?: { code: number; text: string } | null;
}

/**
 * Encodes an answer to `asked`. Over UDP it is at most what the client announced and at most 1232 bytes: larger ones come
 * in IP fragments, which the data path refuses; TC sends the client to TCP instead.
 */
export function reply(asked: Asked, transport: DnsTransport, parts: ReplyParts): Uint8Array {
  const { question, edns } = asked;
  const udp = Math.min(Math.max(edns?.udpSize ?? plainUdpSize, plainUdpSize), ednsSize);
  const extended = parts.extended ?? null;
  return encode(
    {
      header: {
        id: asked.header.id,
        response: true,
        opcode: asked.header.opcode,
        authoritative: false,
        truncated: false,
        recursionDesired: asked.header.recursionDesired,
        recursionAvailable: true,
        reserved: false,
        authenticData: false,
        checkingDisabled: false,
        rcode: parts.rcode,
      },
      questions: question === null ? [] : [question],
      answers: parts.answers ?? [],
      authorities: [],
      additionals: [],
      edns:
        edns === null
          ? null
          : {
              udpSize: ednsSize,
              version: 0,
              dnssecOk: false,
              options: extended === null ? [] : [extendedError(extended.code, extended.text)],
            },
    },
    transport === "udp" ? udp : 65535,
  );
}

/** What a refusal tells the client: code 15, Blocked, and which rule or reason. */
export function blocked(reason: Reason, rule: RuleRef | null): { code: number; text: string } {
  const words = rule === null ? reasonTexts[reason] : `rule "${rule.name}"${rule.reason ? `: ${rule.reason}` : ""}`;
  return { code: ExtendedError.blocked, text: `${reason}: ${words}` };
}
