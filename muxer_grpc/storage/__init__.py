"""The adapters that keep things: tables, migrations, the ledger's writer, and what admin services read and change."""
