"""Everything between the spool and the published tables: kernels <- transforms | io <- flows."""
