/** A recorded flow, asked of a policy again: the same stages, the same engine that decides packets. */
import type { Decision, Engine, NameFacts } from "../policy/decision.ts";

/**
 * The decision about a complete flow. A client that goes by a name is stopped where no name of the address may be looked up;
 * one that brought the address along is not.
 */
export function passes(engine: Engine, facts: NameFacts): Decision {
  if (facts.names.length > 0) {
    const asked = facts.name !== null && facts.names.includes(facts.name) ? [facts.name] : facts.names;
    const lookups = asked.map((name) => engine.dns({ source: facts.source, name }));
    if (lookups.every(({ answer }) => answer === "deny")) {
      const settled = settle(engine, facts);
      // By address alone it would pass, if only the name were answered: the look-up is what breaks it.
      return settled.answer === "allow" ? lookups[0]! : settled;
    }
  }
  return settle(engine, facts);
}

function settle(engine: Engine, facts: NameFacts): Decision {
  const connect = engine.connect(facts);
  return connect.answer === "not_yet" ? engine.name(facts) : connect;
}
