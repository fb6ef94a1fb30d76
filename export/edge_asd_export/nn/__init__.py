"""Parts that several networks share: front-ends, losses, augmentation."""
