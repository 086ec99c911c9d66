"""What to hand to somebody who helps: an archive that tells much and gives nothing away."""
