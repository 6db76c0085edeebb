// The language as people type it: what is printed, what is refused and in which words. Each row of a table is a line of script and its output.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { ShellError } from '../../../src/shell/errors.ts';
import { parse } from '../../../src/shell/parser.ts';
import { MemoryHost, script, seen, words } from './bench.ts';

const root = resolve(import.meta.dirname, '../../..');

// biome-ignore format: a table reads by its columns
const LINES: readonly (readonly [line: string, printed: string])[] = [
  ['"plain"',                                            'plain\n'],
  ["'single $x ''quoted'''",                             "single $x 'quoted'\n"],
  ['$x = "a"; "$x-name and $($x)b"',                     'a-name and ab\n'],
  ['$x = "a"; "$x.Length"',                              'a.Length\n'],
  ['"tab`tquote`" dollar`$x"',                           'tab\tquote" dollar$x\n'],
  ['“smart quotes” + ‘ and single’',                     'smart quotes and single\n'],
  ['"$env:GREETING, ${env:GREETING}"',                   'hello, hello\n'],
  ['1 + 2 * 3',                                          '7\n'],
  ['(1 + 2) * 3',                                        '9\n'],
  ['10 - 3 - 2',                                         '5\n'],
  ['7 % 4; 6 / 4; 0x10; 1kb',                            '3\n1.5\n16\n1024\n'],
  ['"a" + 1',                                            'a1\n'],
  ['"ab" * 2',                                           'abab\n'],
  ['1..3',                                               '1\n2\n3\n'],
  ['"A" -eq "a"; "A" -ceq "a"',                          'True\nFalse\n'],
  ['3 -gt 2 -and -not $false',                           'True\n'],
  ['"contoso" -like "con*"',                             'True\n'],
  ['"v1.2" -match "^v\\d"',                              'True\n'],
  ['"b" -in "a", "b"',                                   'True\n'],
  ['1, 2, 3 -contains 2',                                'True\n'],
  ['(1, 2, 3) -gt 1',                                    '2\n3\n'],
  ['"a,b" -split ","',                                   'a\nb\n'],
  ['"a", "b" -join "+"',                                 'a+b\n'],
  ['"2026" -replace "20", "19"',                         '1926\n'],
  ['"{0} of {1}" -f 2, 3',                               '2 of 3\n'],
  ['@(1, 2)[1]; @("x")[-1]; @().Count',                  '2\nx\n0\n'],
  ["$t = @{ a = 1; 'b c' = 2 }; $t.A; $t['b c']",        '1\n2\n'],
  ['$t = @{ a = @{ b = 5 } }; $t.a.b',                   '5\n'],
  ['$l = @(1); $l += 2; $l',                             '1\n2\n'],
  ['$t = @{}; $t.x = 4; $t["y"] = 5; $t.x + $t.y',       '9\n'],
  ['" x ".Trim().ToUpper()',                             'X\n'],
  ['"a/b/c".Split("/")[1]',                              'b\n'],
  ['(Get-Date).AddYears(1).Year',                        '2027\n'],
  ['[int]"42" + 1',                                      '43\n'],
  ['[System.Text.Encoding]::UTF8.GetBytes("AB").Count',  '2\n'],
  ['[Byte[]]@(1, 2) | Measure-Object | Select-Object -ExpandProperty Count', '1\n'],
  ['if (1 -gt 2) { "a" } elseif ($true) { "b" } else { "c" }', 'b\n'],
  ['foreach ($i in 1..2) { "n$i" }',                     'n1\nn2\n'],
  ['# comment\n"a" # more\n<# block\n #> "b"',           'a\nb\n'],
  ['"a" |\n  Out-String',                                'a\n\n'],
  ['Write-Output `\n  one',                              'one\n'],
  ['PS C:\\> Write-Output pasted',                       'pasted\n'],
  ['@"\nline one\n"two" $(1 + 1)\n"@',                   'line one\n"two" 2\n'],
  ["@'\n$raw\n'@",                                       '$raw\n'],
  ['$null; ""',                                          '\n'],
  ['Write-Output a b | Out-Null',                        ''],
  ['Get-Thing | Where-Object { $_.Size -gt 5 } | Select-Object -ExpandProperty Name', 'thing-1\n'],
  ['Get-Thing | Where-Object Name -eq thing-0 | ForEach-Object { $_.Name.ToUpper() }', 'THING-0\n'],
  ['Get-Thing | ForEach-Object Name',                    'thing-0\nthing-1\n'],
  ['(Get-Thing).Name',                                   'thing-0\nthing-1\n'],
  ['(Get-Thing)[0].Tags.owner',                          'me\n'],
  ['Get-Thing -Count 1 | ConvertTo-Json -Compress',      '{"Name":"thing-0","Size":0,"Tags":{"owner":"me"}}\n'],
  ['\'{"a":[1,2]}\' | ConvertFrom-Json | Select-Object -ExpandProperty a', '1\n2\n'],
  ['answer',                                             'one\ntwo\n'],
  ['$x = answer; $x[1]; $x.Count',                       'two\n2\n'],
  ['"up" | answer',                                      'UP\n'],
  ['Get-Help Test-Thing | Select-Object -First 1',       'Test-Thing\n'],
  ['"text" > f; "more" >> f; Get-Content f',             'text\nmore\n'],
  ['Test-Path nowhere',                                  'False\n'],
];

for (const [line, printed] of LINES) {
  test(`\`${line.replaceAll('\n', '⏎')}\` prints ${JSON.stringify(printed)}`, async () => {
    const ended = await script(line);
    assert.equal(ended.errors, '');
    assert.equal(ended.out, printed);
    assert.equal(ended.status, 0);
  });
}

// biome-ignore format: a table reads by its columns
const REFUSALS: readonly (readonly [line: string, message: RegExp])[] = [
  ['"no end',                              /the string has no closing "[\s\S]*line 1, column 1/],
  ['@{ a = 1',                             /@\{ has no closing \}/],
  ['Get-Thing |',                          /a command is missing behind the \|/],
  ['function f { }',                       /'function' is not in this shell's language/],
  ['try { 1 } catch { 2 }',                /'try' is not in this shell's language/],
  ['Get-Thing || Get-Thing',               /'\|\|' is not in this shell's language/],
  ['Get-Thing 3>&1',                       /redirection/],
  ['1 = 2',                                /unexpected '='|cannot be assigned|assigned/],
  ['"a" "b"',                              /unexpected '"'/],
  [')',                                    /does not belong here/],
  ['Get-Thin',                             /'Get-Thin' is not recognized[\s\S]*most similar command is: Get-Thing/],
  ['$x.Foo()',                             /You cannot call a method on a null-valued expression/],
  ['"x".Explode()',                        /the method Explode\(\) is not in this shell's language/],
  ['"x".Constructor()',                    /the method Constructor\(\) is not in this shell's language/],
  ['[constructor]"x"',                     /the type \[constructor\] is not in this shell's language/],
  ['[System.IO.File]::Delete("x")',        /\[System.IO.File\]::Delete is not in this shell's language/],
  ['1 / 0',                                /divide by zero/],
  ['$true = 1',                            /Cannot overwrite variable true/],
  ['Test-Thing -Nam x -Name y',            /parameter 'Name' is specified more than once/],
  ['Test-Thing -Resource x',               /ambiguous. Possible matches include: -ResourceGroup -ResourceId/],
  ['Test-Thing -Colour x',                 /cannot be found that matches parameter name 'Colour'/],
  ['Test-Thing -Name',                     /Missing an argument for parameter 'Name'/],
  ['Test-Thing x 3 y',                     /positional parameter cannot be found that accepts argument 'y'/],
  ['Test-Thing',                           /missing mandatory parameters: Name/],
  ['Test-Thing -Name ""',                  /'Name' because it is an empty string/],
  ['Test-Thing x -Count abc',              /'Count'. Cannot convert value "abc" to type "System.Int32"/],
  ['Test-Thing x -Count 1',                /The 1 argument is less than the minimum allowed range of 2/],
  ['Test-Thing x -Count 11',               /greater than the maximum allowed range of 10/],
  ['Test-Thing x -Kind AES',               /does not belong to the set "RSA,EC"/],
  ['Test-Thing x -Id nope',                /to type "System.Guid"/],
  ['Test-Thing -Name x -Thing y',          /Parameter set cannot be resolved/],
  ['1 | Get-Thing',                        /input object cannot be bound/],
];

for (const [line, message] of REFUSALS) {
  test(`\`${line}\` is refused`, async () => {
    const ended = await script(line);
    assert.match(ended.errors, message);
    assert.equal(ended.out, '');
    assert.equal(ended.status, 1);
  });
}

test('parameters are found by name, prefix, alias and position, in any case, with a colon or a blank', async () => {
  for (const line of [
    'Test-Thing -Name a -Count 3',
    'test-thing -name:a -cou 3',
    'thing a 3',
    'Test-Thing -HsmName a -Count: 3',
    'Test-Thing –Name a –Count 3',
    'Test-Thing -Count 3 a',
  ]) {
    const ended = await script(line);
    assert.equal(ended.errors, '', line);
    assert.deepEqual([seen[0]?.args.Name, seen[0]?.args.Count, seen[0]?.parameterSet], ['a', 3, 'ByName'], line);
    assert.deepEqual(seen[0]?.bound, ['Count', 'Name'], line);
  }
});

test('lists, switches, dates, tables and splatted tables arrive as their types', async () => {
  await script(
    '$p = @{ Name = "a"; List = "x", "y" }; Test-Thing @p -Force -When 2027-01-01 -Id 11111111-1111-4111-8111-11111111111A -Table @{ k = "v" } -Kind rsa',
  );
  const args = seen[0]?.args;
  assert.deepEqual(args?.List, ['x', 'y']);
  assert.equal(args?.Force, true);
  assert.deepEqual(args?.When, new Date('2027-01-01T00:00:00Z'));
  assert.equal(args?.Kind, 'RSA');
  assert.equal(Object(args?.Table).k, 'v');
  await script('Test-Thing a -Force:$false -List one');
  assert.equal(seen[0]?.args.Force, false);
  assert.deepEqual(seen[0]?.args.List, ['one']);
});

test('an object of the right type is taken whole, any other by its properties', async () => {
  await script('Get-Thing -Count 1 | Test-Thing');
  assert.equal(seen[0]?.parameterSet, 'ByThing');
  await script('Get-Thing | Select-Object Name | Test-Thing -Count 3');
  assert.deepEqual(
    seen.map(({ args, parameterSet }) => [args.Name, args.Count, parameterSet]),
    [
      ['thing-0', 3, 'ByName'],
      ['thing-1', 3, 'ByName'],
    ],
  );
});

test('a switch that belongs to one set chooses it', async () => {
  await script('Test-Thing a -Removed');
  assert.equal(seen[0]?.parameterSet, 'Removed');
});

test('-WhatIf does nothing and says what would have been done', async () => {
  const ended = await script('Remove-Thing x -WhatIf');
  assert.equal(ended.out, 'What if: Performing the operation "Remove thing" on target "x".\n');
});

test('a question is answered by stdin, by -Force, or refused at the end of stdin with -Force named', async () => {
  const yes = new MemoryHost();
  yes.typed.push('what', 'y');
  assert.equal((await script('Remove-Thing x', yes)).out, 'removed x\n');
  const no = new MemoryHost();
  no.typed.push('n');
  assert.equal((await script('Remove-Thing x', no)).out, '');
  assert.equal((await script('Remove-Thing x -Force')).out, 'removed x\n');
  const nobody = await script('Remove-Thing x');
  assert.equal(nobody.status, 1);
  assert.match(nobody.errors, /-Force/);
});

test('yes to all answers for the rest of the pipeline', async () => {
  const host = new MemoryHost();
  host.typed.push('a');
  const ended = await script('Get-Thing | Remove-Thing -Confirm -Force', host);
  assert.equal(ended.out, 'removed thing-0\nremoved thing-1\n');
});

test('a missing parameter is asked for on a terminal', async () => {
  const host = new MemoryHost();
  host.isTerminal = { stdin: true, stdout: false, stderr: false };
  host.typed.push('typed');
  await script('Test-Thing', host);
  assert.equal(seen[0]?.args.Name, 'typed');
  assert.match(host.errors, /Name: /);
});

test('a script stops at the first error, says where, and ends with the status of a program that failed', async () => {
  const stopped = await script('"before"\nTest-Thing -Count 3\n"after"');
  assert.equal(stopped.out, 'before\n');
  assert.match(stopped.errors, /^Test-Thing: [\s\S]*at test\.ps1, line 2:/);
  const host = new MemoryHost();
  host.native = { output: '', status: 3 };
  assert.equal((await script('answer -x 1\n"after"', host)).status, 3);
  assert.equal((await script('"a"; exit 5; "b"')).status, 5);
});

test('-ErrorAction SilentlyContinue goes on', async () => {
  const ended = await script('Get-Content nowhere -ErrorAction SilentlyContinue; "after"');
  assert.deepEqual([ended.status, ended.out, ended.errors], [0, 'after\n', '']);
});

test('a program gets its words as they were typed, with variables put in', async () => {
  const { host } = await script('$n = "my key"; answer req -newkey rsa:2048 -out "$n.pem" -subj "/CN=a b" a,b --long=$n -days 365');
  assert.deepEqual(host.natives, [
    ['answer', 'req', '-newkey', 'rsa:2048', '-out', 'my key.pem', '-subj', '/CN=a b', 'a,b', '--long=my key', '-days', '365'],
  ]);
});

test('from another shell words are words: commas make lists only where a list is wanted', async () => {
  await words('Test-Thing', '-Name', 'a,b', '-List', 'x,', 'y,', 'z');
  assert.deepEqual([seen[0]?.args.Name, seen[0]?.args.List], ['a,b', ['x', 'y', 'z']]);
  await words('Test-Thing', '-Name', '$x "y"', '-List', 'x,y', '-Force');
  assert.deepEqual([seen[0]?.args.Name, seen[0]?.args.List, seen[0]?.args.Force], ['$x "y"', ['x', 'y'], true]);
  assert.match((await words('Test-Thing', '--help')).out, /SYNTAX/);
});

test('a secure string is printed by its type alone', async () => {
  const ended = await script(
    '$s = ConvertTo-SecureString "hunter2" -AsPlainText -Force; $s; "$s"; @{ s = $s } | ConvertTo-Json; Test-Thing x -Id $s',
  );
  assert.doesNotMatch(ended.out + ended.errors, /hunter2/);
  assert.match(ended.out, /System\.Security\.SecureString/);
});

test('the quickstart is a script of this language', () => {
  assert.ok(parse(readFileSync(join(root, 'examples/quickstart.ps1'), 'utf8')).length > 20);
});

test('whatever is typed, the parser ends, with statements or with words about a place', () => {
  const pieces = fc.constantFrom(
    '$x',
    '"',
    "'",
    '@{',
    '@(',
    '}',
    ')',
    '(',
    '|',
    ',',
    '-Name',
    'Get-Thing',
    '\n',
    ' ',
    '`',
    '#',
    '<#',
    '[int]',
    '::',
    '.',
    '..',
    '=',
    '+=',
    '-eq',
    '@"',
    '"@',
    '1',
    ';',
    '&',
    '>',
    '2>',
    '$(',
    'if',
    'foreach',
    '{',
    '\u201c',
    '–',
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.array(pieces, { maxLength: 30 }).map((list) => list.join('')),
        fc.string({ maxLength: 60 }),
      ),
      (text) => {
        try {
          parse(text);
        } catch (error) {
          assert.ok(error instanceof ShellError, String(error));
          assert.equal(typeof error.excerpt, 'string');
        }
      },
    ),
    { numRuns: 3000 },
  );
});
