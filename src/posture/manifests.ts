/** Which files say something of runners: a quick look, so that the others are never parsed. */
const signs =
  /\bconfig\.(?:sh|cmd)\b|\bsvc\.sh\b|--jitconfig\b|enable_ephemeral_runners|actions\.github\.com\/v1|actions\.summerwind\.dev\//;

export function speaksOfRunners(text: string): boolean {
  return signs.test(text);
}
