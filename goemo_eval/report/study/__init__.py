"""What belongs to the published study alone: its tables, claims and figures beside ours."""
