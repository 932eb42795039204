/** Names that a policy allows, found in the policy itself and confirmed by the engine that will decide. Pure. */
import { answer, isQuestionDefect, readQuestion, setScene } from "../policy/question.ts";
import type { LoadedPolicy } from "../policy/load.ts";
import type { Protocol } from "../policy/decision.ts";
import type { Sites } from "./range/addresses.ts";

/** What a policy for demonstration allows; where the user gives none. */
export const demonstration = `# Made for \`sallyport simulate\`: one name of each kind that jobs need.
version: 1

rules:
  - { name: packages, to: [registry.example] }
  - { name: mirror, to: ["mirror.example:80"] }
  - { name: downloads, to: ["*.downloads.example"] }

default:
  mode: enforce
`;

/** For commands of a run whose address inside is `source`. Null: the policy allows no such name. */
export function sitesOf({ policy, engine }: LoadedPolicy, source: string): Sites {
  const scene = setScene(policy, engine);
  const isAllowed = (name: string, port: number, protocol: Protocol) => {
    const question = readQuestion(scene, {
      source,
      endpoint: `${name}:${port}`,
      protocol,
      ech: false,
      process: null,
    });
    return !isQuestionDefect(question) && answer(scene, question).outcome.verdict === "allow";
  };
  const texts = (port: number, protocol: Protocol) =>
    policy.rules.flatMap((rule) =>
      rule.targets.flatMap(({ endpoint, services }) =>
        rule.action === "allow" &&
        endpoint.kind === "name" &&
        services.some((service) => service.port === port && service.protocol === protocol)
          ? [endpoint.text]
          : [],
      ),
    );
  const exact = (port: number, protocol: Protocol) =>
    texts(port, protocol).find((text) => !/[*{]/.test(text) && isAllowed(text, port, protocol)) ?? null;
  const isOpen = (text: string) => /^\*\.[^*{]+$/.test(text) && isAllowed(text.replace("*", "sample"), 443, "tls");
  return { tls: exact(443, "tls"), http: exact(80, "http"), wildcard: texts(443, "tls").find(isOpen) ?? null };
}
