/** The attempts as a table in Markdown. */
import type { Tried } from './attempt.ts';

export function drawTable(all: readonly Tried[]): string {
  const rows = all.map(
    ({ attempt, has, observed, off, unguarded, held }) =>
      `| ${attempt} | ${has} | \`${observed}\` | ${off.join(', ')}: ${unguarded} | ${held ? 'held' : '**failed**'} |`,
  );
  return [
    '| attempt | the attacker has | refused or found with | with the check off | |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}
