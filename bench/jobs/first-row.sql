SELECT 'row';
