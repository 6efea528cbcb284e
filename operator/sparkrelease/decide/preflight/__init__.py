"""Items of spec.preflight: what may be asked, and what an answer means. Pure: who asks is in the adapters."""
