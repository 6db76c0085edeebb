// The cmdlets of the language itself; they need no service.

import type { Cmdlet } from '../cmdlet.ts';
import { getCommand, getHelp } from './help.ts';
import { forEachObject, getMember, measureObject, selectObject, sortObject, whereObject } from './objects.ts';
import {
  addContent,
  convertFromJson,
  convertToJson,
  convertToSecureString,
  formatList,
  formatTable,
  getContent,
  getDate,
  getLocation,
  newGuid,
  outFile,
  outNull,
  outString,
  readHost,
  setContent,
  startSleep,
  testPath,
  writeHost,
  writeOutput,
} from './text.ts';

export const builtins: readonly Cmdlet<unknown>[] = [
  ...[getCommand, getHelp],
  ...[selectObject, whereObject, forEachObject, sortObject, measureObject, getMember],
  ...[formatList, formatTable, outNull, outFile, outString, writeHost, writeOutput],
  ...[getContent, setContent, addContent, testPath, convertToJson, convertFromJson],
  ...[convertToSecureString, readHost, getDate, startSleep, newGuid, getLocation],
];
