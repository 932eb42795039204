/**
 * Why something that was let through is not proposed without being asked: what in monitor mode looked like one of the ways
 * out that Sallyport is there to close, or cannot be allowed by the name it was seen under. It is held back and shown, and a
 * person accepts it by name. What a rule of a reviewed policy allowed is in no doubt.
 */
import { specialClass } from "../address/special.ts";
import { refusesEch } from "../policy/ech.ts";
import { showsName } from "../policy/protocol.ts";
import { type Reason, reasonTexts } from "../policy/reason.ts";
import { entryFor, sinks } from "../policy/sinks.ts";
import type { Contact } from "./contact.ts";

/** Reasons of the policy engine, and some that no single decision can have. */
export type Doubt = Exclude<Reason, "rule" | "default"> | "detection" | "known_sink" | "denied_by_policy";

/** What is said of each that a contact can be held back for; the others are read from the reason codes. */
const doubtTexts: Partial<Record<Doubt, string>> = {
  no_name: "a bare address: no DNS answer explains it",
  name_mismatch: "the name shown is not one that DNS gave this address: hidden behind a name, or resolved elsewhere",
  missing_name: "no name was shown (no SNI, no Host); only its address could be allowed",
  private_address: "a private, local or metadata address",
  ech: "Encrypted Client Hello at a front that many tenants share: who was meant is sealed",
  detection: "a detection names it (sallyport logs --kind detection)",
  denied_by_policy: "a deny rule of the policy in force matches it",
  known_sink: "known as a place where anybody can leave data",
  protocol_denied: "a protocol that rules can allow only by address, or not at all",
};

/** A doubt in words, without a full stop. */
export function doubtText(doubt: Doubt): string {
  const reason = Object.hasOwn(reasonTexts, doubt) ? reasonTexts[doubt as Reason] : doubt;
  return doubtTexts[doubt] ?? reason.replace(/\.$/, "");
}

/**
 * Null: nothing against it. `isReviewed`: the contact's word that a rule allowed it is to be believed; a report is a file that
 * anybody may have written.
 */
export function doubtOf(contact: Contact, isReviewed: boolean): Doubt | null {
  const { facts, verdict, reason, name } = contact;
  const { application, transport } = facts;
  // A rule of the policy in force allowed it: somebody has reviewed that.
  if (verdict === "allow" && reason === "rule" && isReviewed) return null;
  if (reason !== "default" && reason !== "rule" && reason !== "no_name") return reason;
  if (facts.local || specialClass(facts.destination) !== null) return "private_address";
  if (name === null) return "no_name";
  if (transport === "other" || transport === "icmp") return "protocol_denied";
  if (facts.name !== null && !facts.names.includes(facts.name)) return "name_mismatch";
  if (showsName(application) && facts.name === null) return "missing_name";
  if (application !== "other" && facts.ech && refusesEch(null, "name", application, facts.name)) return "ech";
  return entryFor(sinks, name) === null ? null : "known_sink";
}
