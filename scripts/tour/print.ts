/** How the guided run speaks: numbered steps, plain sentences, colours on a terminal only. */
import { styleText } from "node:util";

const isTerminal = process.stdout.isTTY && process.env["NO_COLOR"] === undefined;
type Style = Parameters<typeof styleText>[0];

export const paint = (style: Style, text: string): string =>
  isTerminal ? styleText(style, text, { validateStream: false }) : text;

let number = 0;

export function step(title: string): void {
  number++;
  console.log(`\n${paint("bold", `${number}. ${title}`)}`);
}

export function say(text: string): void {
  console.log(`   ${text}`);
}

export function block(text: string): void {
  for (const line of text.trimEnd().split("\n")) console.log(`     ${line}`);
}

export function command(argv: readonly string[]): void {
  console.log(
    `   ${paint("cyan", `$ ${argv.map((each) => (/^[\w@%+=:,./-]+$/.test(each) ? each : `'${each}'`)).join(" ")}`)}`,
  );
}

/** A table with its columns as wide as they need to be. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
