/** `docs/techniques.md`: the simulator's catalogue, from the catalogue. */
import { notCovered, techniques } from "../../src/simulate/catalogue.ts";
import { classes, type Technique } from "../../src/simulate/technique.ts";

export function techniquesPage(): string {
  const rows = techniques.map(
    ({ id, name, attack, expected }) => `| [\`${id}\`](#${id}) | ${name} | ${attack.join(", ")} | ${expected} |`,
  );
  return `# Techniques of the simulator

<!-- Generated from src/simulate/ by \`npm run docs\`. -->

What [\`sallyport simulate\`](simulate.md) tries. *Expected* is what an enforcing policy should do: \`reached\` means that no
firewall of names and addresses can refuse it, and says why.

| id | technique | ATT&CK | expected |
|---|---|---|---|
${rows.join("\n")}

${techniques.map(section).join("\n\n")}

## Not covered

${notCovered.map((each) => `- **${each.name}** (${each.class}, ${classes[each.class]}): ${each.why}`).join("\n")}
`;
}

function section(technique: Technique): string {
  const { id, name, class: of, attack, incidents, does, works, limit } = technique;
  const lines = [
    `## ${id}`,
    "",
    `${name[0]!.toUpperCase()}${name.slice(1)}. Class ${of}, ${classes[of]}; ATT&CK ${attack.join(", ")}.`,
    "",
    `- **What it does.** ${does}`,
    `- **Why it works against others.** ${works}`,
  ];
  if (incidents.length > 0) {
    lines.push(`- **Seen in.** ${incidents.map((each) => `${each.name}, ${each.year}`).join("; ")}.`);
  }
  if (limit !== undefined) lines.push(`- **Expected to reach.** ${limit}`);
  return lines.join("\n");
}
