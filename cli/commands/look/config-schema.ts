/** `behalf config schema`: the JSON Schema of a part's configuration. */
import { BehalfError } from '../../../errors/index.ts';
import { defineCommand } from '../../command.ts';
import { nearestName } from '../../nearest.ts';
import { PART_SCHEMAS } from '../../run/part-schemas.ts';

export const command = defineCommand({
  usage: 'config schema <part>',
  summary: 'Print the JSON Schema of a part’s configuration file, for completion and checks in an editor.',
  details: `Parts: ${Object.keys(PART_SCHEMAS).join(', ')}.\n\nWith the YAML language server, begin a file with\n    # yaml-language-server: $schema=sidecar.schema.json`,
  flags: {},
  positionals: [1, 1],
  async run(_values, [part]) {
    const load = Object.hasOwn(PART_SCHEMAS, part!) ? PART_SCHEMAS[part as keyof typeof PART_SCHEMAS] : undefined;
    if (load === undefined) {
      const meant = nearestName(part!, Object.keys(PART_SCHEMAS));
      throw new BehalfError('usage', {
        command: 'config schema',
        why: `no such part${meant === null ? '' : `; did you mean ${meant}?`}`,
      });
    }
    process.stdout.write(`${JSON.stringify(await load(), null, 2)}\n`);
    return 0;
  },
});
