// Get-Command and Get-Help: made from the same rows that bind the parameters.

import { COMMON, parametersOf } from '../bind.ts';
import { type Cmdlet, defineCmdlet, type ParameterRow } from '../cmdlet.ts';
import { unknownCommand } from '../evaluate.ts';
import { shape } from '../value.ts';

export const getCommand = defineCmdlet({
  name: 'Get-Command',
  aliases: ['gcm'],
  synopsis: 'Lists the cmdlets.',
  parameters: { Name: { type: 'string', position: 0, help: 'Only those whose name fits; * stands for anything.' } },
  run({ commands }, { Name }) {
    const pattern = (Name ?? '*')
      .replace(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '.*')
      .replaceAll('?', '.');
    const expression = new RegExp(`^${pattern}$`, 'i');
    const found = commands.all.filter((command) => expression.test(command.name));
    if (found.length === 0 && Name !== undefined) throw unknownCommand(Name, commands);
    return found.map((command) => shape('CmdletInfo', { Name: command.name, Synopsis: command.synopsis }));
  },
});

export const getHelp = defineCmdlet({
  name: 'Get-Help',
  aliases: ['help', 'man'],
  synopsis: 'Explains a cmdlet.',
  parameters: {
    Name: { type: 'string', position: 0, help: 'The cmdlet.' },
    Full: { type: 'switch', help: 'Accepted; help is always whole.' },
    Examples: { type: 'switch', help: 'The examples alone.' },
  },
  run({ commands }, { Name, Examples }) {
    if (Name === undefined) return ['Get-Command lists the cmdlets; Get-Help with the name of one explains it.'];
    const cmdlet = commands.find(Name);
    if (cmdlet === undefined) throw unknownCommand(Name, commands);
    return Examples ? examplesOf(cmdlet) : helpFor(cmdlet);
  },
});

/** Help as lines of text. */
export function helpFor(cmdlet: Cmdlet<never>): string[] {
  return [
    cmdlet.name,
    `    ${cmdlet.synopsis}`,
    ...(cmdlet.description === undefined ? [] : ['', `    ${cmdlet.description}`]),
    ...(cmdlet.aliases === undefined ? [] : ['', `    also: ${cmdlet.aliases.join(', ')}`]),
    '',
    'SYNTAX',
    ...syntaxLines(cmdlet).map((line) => `    ${line}`),
    '',
    'PARAMETERS',
    ...Object.entries(parametersOf(cmdlet))
      .filter(([name]) => !(name in COMMON) || name in cmdlet.parameters)
      .flatMap(([name, row]) => parameterLines(name, row)),
    `    Every cmdlet has ${Object.keys(COMMON)
      .map((name) => `-${name}`)
      .join(', ')} too.`,
    ...examplesOf(cmdlet),
  ];
}

function syntaxLines(cmdlet: Cmdlet<never>): string[] {
  const sets = Object.keys(cmdlet.parameterSets?.sets ?? { '': [] });
  return sets.map((set) => {
    const words = Object.entries(cmdlet.parameters).flatMap(([name, row]) => {
      const others = Object.values(cmdlet.parameterSets?.sets ?? {});
      const belongs = !others.some((members) => members.includes(name)) || (cmdlet.parameterSets?.sets[set]?.includes(name) ?? true);
      return belongs ? [syntaxWord(name, row, set)] : [];
    });
    return [cmdlet.name, ...words].join(' ');
  });
}

function syntaxWord(name: string, row: ParameterRow, set: string): string {
  const mandatory = row.mandatory === true || (Array.isArray(row.mandatory) && row.mandatory.includes(set));
  const flag = row.position === undefined ? `-${name}` : `[-${name}]`;
  const word = row.type === 'switch' ? `-${name}` : `${flag} <${row.type}>`;
  return mandatory ? word : `[${word}]`;
}

function parameterLines(name: string, row: ParameterRow): string[] {
  const facts = [
    row.help,
    row.values === undefined ? undefined : `One of ${row.values.join(', ')}.`,
    row.range === undefined ? undefined : `From ${row.range[0]} to ${row.range[1]}.`,
    row.default === undefined ? undefined : `Default: ${String(row.default)}.`,
    row.aliases === undefined ? undefined : `Also: ${row.aliases.map((alias) => `-${alias}`).join(', ')}.`,
  ];
  return [`    -${name} <${row.type}>`, `        ${facts.filter((fact) => fact !== undefined).join(' ')}`];
}

function examplesOf(cmdlet: Cmdlet<never>): string[] {
  if (cmdlet.examples === undefined || cmdlet.examples.length === 0) return [];
  return [
    '',
    'EXAMPLES',
    ...cmdlet.examples.flatMap(({ code, text }) => [...code.split('\n').map((line) => `    PS> ${line}`), `        ${text}`]),
  ];
}
