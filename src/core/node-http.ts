// Node's HTTP module without what an `import` of it brings along: to list its names Node loads WebSocket, and with it a second HTTP client (60 ms and 15 MB
// in every thread that starts).

export const { Agent, createServer, request, STATUS_CODES } = process.getBuiltinModule('node:http');
