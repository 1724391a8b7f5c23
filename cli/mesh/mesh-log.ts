/** The supervisor's own log: a file in the state directory, so that a person's terminal shows the mesh and not our doings. */
import { type Logger, pino } from 'pino';
import type { StateDir } from './state-dir.ts';

export function openMeshLog(dir: StateDir): Logger {
  dir.folder('log');
  return pino(
    { level: process.env['BEHALF_LOG_LEVEL'] ?? 'info', base: { part: 'up', pid: process.pid } },
    pino.destination({ dest: dir.file('log', 'up.log'), sync: true }),
  );
}
