/** Which rules of the policy in force a live connection is under, by what was known of it when it was let through. */
import type { LiveFlow } from "../datapath/messages.ts";
import type { Decision, Engine } from "../policy/decision.ts";

/** Names of the rule that lets it through, if one does, and of monitor rules that match before. */
export function rulesOver(flow: LiveFlow, engine: Engine): string[] {
  const decision = decide(flow, engine);
  if (decision === null) return [...(flow.rule === null ? [] : [flow.rule]), ...flow.monitored];
  const { rule, monitored } = decision;
  return [...(rule?.action === "allow" ? [rule.name] : []), ...monitored.map(({ name }) => name)];
}

/** Null where its bytes were never read and no name of its address decides. */
function decide(flow: LiveFlow, engine: Engine): Decision | null {
  const { source, process, destination, local, transport, destinationPort: port, names, name, ech } = flow;
  const facts = { source, process, destination, local, transport, port, names };
  if (flow.application !== null) return engine.name({ ...facts, application: flow.application, name, ech });
  const connect = engine.connect(facts);
  if (connect.answer !== "not_yet") return connect;
  const applications = transport === "tcp" ? (["tls", "http", "ssh", "other"] as const) : (["quic", "other"] as const);
  for (const application of applications) {
    for (const shown of [...names, null]) {
      const decision = engine.name({ ...facts, application, name: shown, ech: false });
      if (decision.answer === "allow") return decision;
    }
  }
  return null;
}
