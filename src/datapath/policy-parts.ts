/** Sends a policy to another thread in parts, so that the thread can do what it is there for between them. */
import { OutgoingPolicy, type PolicyPart } from "../policy/parts.ts";
import type { PolicyAt } from "./messages.ts";

/** Of a policy that goes to several threads, for as long as somebody holds it to send it. */
const written = new WeakMap<PolicyAt, OutgoingPolicy>();

/**
 * Resolves when the last part is taken; rejects as `send` does. What waits at a thread's port is all taken in at once; so never more
 * than two are on the way, and never less before the last, or each would cost the time that both threads take to wake.
 */
export async function sendPolicy(policy: PolicyAt, send: (part: PolicyPart) => Promise<void>): Promise<void> {
  const outgoing = written.get(policy) ?? new OutgoingPolicy(policy.policy, policy.at);
  written.set(policy, outgoing);
  let before = Promise.resolve();
  for (const part of outgoing) {
    const sent = send(part);
    // Whoever awaits it hears of it.
    sent.catch(() => {});
    await before;
    before = sent;
  }
  await before;
}
