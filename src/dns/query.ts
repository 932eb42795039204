/**
 * A client's bytes as a question the policy can judge, or the reason why they are none. Pure. Only a plain query is ever
 * acted on for a policed source: opcode 0, one question, class IN, nothing but OPT beside it.
 */
import { dropLabels, foldCase, hostName, labelsOf, type WireName } from "../wire/dns/name.ts";
import { decode } from "../wire/dns/message.ts";
import { Class, type Edns, type Header, isDefect, type Question, Rcode, Type } from "../wire/dns/types.ts";

/** What a reply needs from the query: enough to echo, nothing more. */
export interface Asked {
  header: Header;
  /** As the client spelled it; null where the bytes hold no readable one. */
  question: Question | null;
  edns: Edns | null;
}

export interface PlainQuery extends Asked {
  plain: true;
  question: Question;
  /** The question's name in lower case: what is cached and sent upstream. */
  name: WireName;
  /** The canonical host name that the policy judges; null where the question's name is not a host name. */
  host: string | null;
}

export interface NotPlain extends Asked {
  plain: false;
  rcode: number;
}

/** Types that go upstream for allowed names of policed sources. */
const forwarded: ReadonlySet<number> = new Set([
  Type.A,
  Type.AAAA,
  Type.HTTPS,
  Type.SVCB,
  Type.CNAME,
  Type.SRV,
  Type.TXT,
  Type.MX,
]);

export function isForwarded(type: number): boolean {
  return forwarded.has(type);
}

/**
 * Reads a query. Null: nothing may be answered (no header, or a response: answering responses would let two servers talk
 * to each other without end).
 */
export function readQuery(bytes: Uint8Array): PlainQuery | NotPlain | null {
  const message = decode(bytes);
  if (isDefect(message)) {
    const { header } = message;
    if (header === null || header.response) return null;
    const rcode = header.opcode === 0 ? Rcode.FORMERR : Rcode.NOTIMP;
    return { plain: false, header, question: null, edns: null, rcode };
  }
  const { header, edns } = message;
  if (header.response) return null;
  const question = message.questions[0]!;
  const not = (rcode: number): NotPlain => ({ plain: false, header, question, edns, rcode });
  if (header.opcode !== 0) return not(Rcode.NOTIMP);
  if (edns !== null && edns.version !== 0) return not(Rcode.BADVERS);
  if (header.truncated || message.answers.length + message.authorities.length + message.additionals.length > 0) {
    return not(Rcode.FORMERR);
  }
  if (question.class !== Class.IN) return not(Rcode.REFUSED);
  const name = foldCase(question.name);
  return { plain: true, header, question, edns, name, host: judgedHost(name, question.type) };
}

const serviceLabel = /^_[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/;
const transportLabel = /^_(?:tcp|udp|sctp|dccp|tls)$/;
const portLabel = /^_[0-9]{1,5}$/;
const schemeLabel = /^_[a-z][a-z0-9-]{0,30}$/;

/**
 * The host behind an owner name: `_service._proto.host` of SRV (RFC 2782) and `_port._scheme.host` or `_scheme.host` of
 * SVCB and HTTPS (RFC 9460 section 2.3) are questions about `host`. The attributes' labels are held to their syntax so
 * that they carry little; the budget counts the whole name.
 */
function judgedHost(name: WireName, type: number): string | null {
  if (type !== Type.SRV && type !== Type.HTTPS && type !== Type.SVCB) return hostName(name);
  const labels = labelsOf(name);
  let prefix = 0;
  if (type === Type.SRV) {
    if (serviceLabel.test(labels[0] ?? "") && transportLabel.test(labels[1] ?? "")) prefix = 2;
  } else if (portLabel.test(labels[0] ?? "") && schemeLabel.test(labels[1] ?? "")) prefix = 2;
  else if (schemeLabel.test(labels[0] ?? "")) prefix = 1;
  return hostName(dropLabels(name, prefix));
}
